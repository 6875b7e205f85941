"""What models wrote, as HTML that is safe to show: Markdown, or plain text where that fails.

CommonMark with tables and strikethrough. Markup in the text is shown as text; links and images
are shown with their address and lead nowhere, for an address that is fetched tells on a rater, and
one that is clicked on an output. The HTML then passes an allow-list (nh3), as a second wall.
"""

from __future__ import annotations

import html
import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

from veneer.raters.server.characters import harmless, visible

LONGEST = 50_000
"""Characters of a text that is read as Markdown; a longer one is shown as it was written."""
DEEPEST = 40
"""Levels of quotes, lists and emphasis in one another; beyond, text is shown as written."""

_ADDRESS = 300  # characters of an address that are shown
_BLOCKS = ["p", "br", "hr", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "div"]
_TABLES = ["table", "thead", "tbody", "tr", "th", "td"]
_INLINE = ["code", "em", "strong", "s", "span"]
_DIRECTED = ("p", "h3", "h4", "h5", "h6", "li", "pre", "td", "th", "div")
_CLASSES = {
    "span": {"link", "address", "image", "mark"},
    "div": {"plain", "table", "info"},
    "td": {"left", "center", "right"},
    "th": {"left", "center", "right"},
}
_cleaner = nh3.Cleaner(
    tags={*_BLOCKS, *_TABLES, *_INLINE},
    clean_content_tags=set(),
    attributes={"ol": {"start"}},
    tag_attribute_values={tag: {"dir": {"auto"}} for tag in _DIRECTED},
    allowed_classes=_CLASSES,
    link_rel=None,
    url_schemes=set(),
)


def rendered(text: str) -> Markup:
    """An output as safe HTML. Nothing that a reader would see is left out.

    Markdown, unless the text is longer than LONGEST, deeper than DEEPEST, or a riddle to the
    parser: then as written, with its line breaks.
    """
    text = harmless(text)
    if len(text) > LONGEST:
        return plain(text)
    try:
        tokens = _MARKDOWN.parse(text)
        if _depth(tokens) >= DEEPEST or _cells_lost(tokens, text):
            return plain(text)
        made = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    except Exception:  # whatever a text does to the parser, its rater must see it
        return plain(text)
    return Markup(visible(_cleaner.clean(made)))


def plain(text: str) -> Markup:
    """A text as it was written, with its line breaks, as safe HTML."""
    body = html.escape(harmless(text), quote=False)
    return Markup(visible(f'<div class="plain" dir="auto">{body}</div>'))


class _Renderer(RendererHTML):
    """HTML without links, images and styles."""

    def link_open(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return '<span class="link">'

    def link_close(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        token = next(tokens[n] for n in range(at, -1, -1) if tokens[n].type == "link_open")
        if token.markup == "autolink":  # its text is its address
            return "</span>"
        address, title = str(token.attrs.get("href", "")), str(token.attrs.get("title", ""))
        return "</span> " + _address(address, title)

    def image(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        token = tokens[idx]
        alt = self.renderInlineAsText(token.children, options, env)
        address = _address(str(token.attrs.get("src", "")), str(token.attrs.get("title", "")))
        return f'<span class="image">[Image, not shown: {html.escape(alt)}]</span> {address}'

    def fence(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        token = tokens[at]
        info = token.info.strip()
        label = f'<div class="info" dir="auto">{html.escape(info)}</div>\n' if info else ""
        return label + _code(token.content)

    def code_block(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return _code(tokens[at].content)

    def table_open(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return '<div class="table"><table>\n'

    def table_close(self, tokens: Sequence[Token], at: int, *_: Any) -> str:
        return "</table></div>\n"


class _Markdown(MarkdownIt):
    """CommonMark in which every address is taken as written: none of them is ever followed."""

    def validateLink(self, url: str) -> bool:
        return True

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link


def _code(content: str) -> str:
    return f'<pre dir="auto"><code>{html.escape(content, quote=False)}</code></pre>\n'


def _address(address: str, title: str) -> str:
    if len(address) > _ADDRESS:
        address = f"{address[:_ADDRESS]}… {len(address):,} characters"
    if title:
        address = f'{address} "{title}"'
    return f'<span class="address">({html.escape(address)})</span>'


def _quiet(tokens: list[Token]) -> list[Token]:
    """Headings below the page's own, each block in its own direction, alignment without styles."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        style = str(token.attrs.get("style", ""))
        token.attrs = {name: token.attrs[name] for name in ("start",) if name in token.attrs}
        if style:
            token.attrs["class"] = style.rpartition(":")[2]
        if token.nesting == 1 and token.tag in _DIRECTED:
            token.attrs["dir"] = "auto"
    return tokens


def _depth(tokens: Sequence[Token]) -> int:
    """How many elements stand in one another, blocks and what is in their lines."""
    deepest = 0
    for token in tokens:
        inner = max((child.level + 1 for child in token.children or ()), default=0)
        deepest = max(deepest, token.level + 1 + inner)
    return deepest


def _cells_lost(tokens: Sequence[Token], text: str) -> bool:
    """Whether a row of a table has more cells than its head: Markdown leaves them out."""
    if not any(token.type == "table_open" for token in tokens):
        return False
    lines, heads = text.split("\n"), 0
    for token in tokens:
        if token.type in ("thead_open", "tr_open") and token.map:
            cells = escapedSplit(_PREFIX.sub("", lines[token.map[0]]).strip())
            count = len(cells) - (cells[0] == "") - (len(cells) > 1 and cells[-1] == "")
            if token.type == "thead_open":
                heads = count
            elif count > heads:
                return True
    return False


_PREFIX = re.compile(r"^[\s>]*(?:(?:[-+*]|\d+[.)])[\s>]+)*")  # of quotes and lists around a table


def _markdown() -> MarkdownIt:
    options = {"html": False, "breaks": True, "maxNesting": DEEPEST}
    made = _Markdown("commonmark", options, renderer_cls=_Renderer)
    made.enable(["table", "strikethrough"])
    made.disable("reference")  # a definition would vanish from the page
    made.core.ruler.push("quiet", lambda state: setattr(state, "tokens", _quiet(state.tokens)))
    return made


_MARKDOWN = _markdown()
