"""HTML that a page's scraper left in a conversation, back to the Markdown it was rendered from.

Text is converted only where it is HTML as a whole. Text that merely has a "<" in it, code with
tags, and web pages that somebody asked for or was given stay as they are: one of two signs
must be there.

1. The value is one element of the class that chat pages give to what they render ("markdown
   prose …" for answers, "whitespace-pre-wrap" for questions). Certain, for either speaker.
2. Every answer of the conversation is nothing but elements that Markdown renders to, with a
   paragraph or list among them, and no question holds a tag or speaks of HTML. An answer that
   is itself code is asked for in such words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

NOTE = "HTML converted to Markdown"

_RENDERED = re.compile(r'\s*<div\s[^>]*class="[^"]*\b(markdown|whitespace-pre-wrap)\b[^"]*"[^>]*>')
_ENDS = re.compile(r"</(div|p|ol|ul|pre|h[1-6]|table|blockquote)>\s*\Z|<hr ?/?>\s*\Z")
_BLOCK = re.compile(r"\s*<(p|ol|ul|pre|h[1-6]|table|blockquote|hr)( [^<>]*)?>")
_SPEAKS_OF_HTML = re.compile(r"<[a-zA-Z/!]|\b(x?html|xml|svg|tags?|markup|web ?pages?)\b", re.I)
_LANGUAGE = re.compile(r"(?:^|\s)language-([\w+#.-]+)")
TOP = {"p", "ol", "ul", "pre", "blockquote", "table", "hr", *(f"h{n}" for n in range(1, 7))}
INSIDE = TOP | {
    "a", "b", "br", "code", "del", "em", "i", "img", "li", "s", "span", "strong", "sub", "sup",
    "tbody", "td", "th", "thead", "tr", "button", "div",
}  # fmt: skip

GIVEN = {"href", "title", "src", "alt", "class", "start", "align", "target", "rel"}
"""Attributes that Markdown renderers write."""


def as_markdown(turns: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """Turns (role, content) with HTML contents as Markdown, and how many were converted."""
    answers = [content for role, content in turns if role == "assistant" and content.strip()]
    questions = [content for role, content in turns if role == "user"]
    all_rendered = (
        bool(answers)
        and all(_BLOCK.match(a) and _ENDS.search(a) for a in answers)
        and not any(_SPEAKS_OF_HTML.search(q) for q in questions)
        and all(_only_rendered(a) for a in answers)
    )
    converted = 0
    result = []
    for role, content in turns:
        certain = "<div" in content[:200] and _is_rendered(content)
        if certain or (all_rendered and role == "assistant" and content.strip()):
            with suppress(RecursionError):  # tags nested a thousand deep stay as they are
                content = markdown(content)
                converted += 1
        result.append((role, content))
    return result, converted


def markdown(html: str) -> str:
    """Markdown of rendered HTML: fences with their language, ATX headings, text unescaped."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser")
    if (as_typed := _RENDERED.match(html)) and as_typed[1] != "markdown":
        for line_break in soup.find_all("br"):
            line_break.replace_with("\n")
        return soup.get_text().strip()
    for block in soup.find_all("pre"):
        _only_code(soup, block)
    for button in soup.find_all("button"):
        button.decompose()
    text = MarkdownConverter(
        heading_style="ATX",
        bullets="-",
        escape_asterisks=False,
        escape_underscores=False,
        escape_misc=False,
        code_language_callback=_language,
    ).convert_soup(soup)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _only_code(soup: Any, block: Any) -> None:
    """Leave of a code block its code: no language bar, no copy button."""
    code = block.find("code")
    if code is None:
        return
    bar = block.find("span")
    named = bar.get_text().strip() if bar is not None and code not in bar.parents else ""
    classes = " ".join(code.get("class", []))
    if not _LANGUAGE.search(classes) and re.fullmatch(r"[\w+#.-]{1,20}", named):
        code["class"] = [f"language-{named}"]
    block.clear()
    block.append(code)


def _language(block: Any) -> str:
    code = block.find("code")
    found = _LANGUAGE.search(" ".join(code.get("class", []))) if code is not None else None
    return found.group(1) if found else ""


def _is_rendered(content: str) -> bool:
    if not _RENDERED.match(content) or not content.rstrip().endswith("</div>"):
        return False
    return len(_top_level(content)) == 1


def _only_rendered(content: str) -> bool:
    """Whether a text is a row of block elements that Markdown renders to, and nothing else."""
    top = _top_level(content)
    names = {getattr(node, "name", None) for node in top}
    if not names <= TOP or not names & {"p", "ol", "ul"}:
        return False
    tags = [tag for node in top for tag in [node, *node.find_all(True)]]
    return {tag.name for tag in tags} <= INSIDE and {a for tag in tags for a in tag.attrs} <= GIVEN


def _top_level(content: str) -> list[Any]:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    return [node for node in soup.contents if not isinstance(node, str) or node.strip()]
