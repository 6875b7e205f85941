"""Characters that deceive or spill, made visible; the text around them stays as it is.

What is done is the same for every text, so that it tells nothing about who wrote it.
"""

from __future__ import annotations

import re
from functools import partial

_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}
_CONTROLS |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
_CONTROLS |= {0x2028: "\n", 0x2029: "\n"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

_OVERRIDES = "\u202a-\u202e"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_COMBINING = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_MOST_INVISIBLE = 8  # in a row; the flag of Scotland is written with six of them
_MOST_COMBINING = 8  # on one letter
_RUNS = {
    "invisible characters": re.compile(f"[{_INVISIBLE}]{{{_MOST_INVISIBLE + 1},}}"),
    "marks on one letter": re.compile(f"(?<=[{_COMBINING}]{{{_MOST_COMBINING}}})[{_COMBINING}]+"),
}
_OVERRIDE = re.compile(f"[{_OVERRIDES}]")

_OPEN, _CLOSE = "\u2066\u2067\u2068", "\u2069"
_ISOLATE = re.compile(f"[{_OPEN}{_CLOSE}]")
_BLOCK = re.compile(r"(</?(?:p|li|h[3-6]|td|th|pre|div|blockquote|hr|br)\b[^>]*>|\n)")


def harmless(text: str) -> str:
    """Text without control characters: each is shown as its picture; lines end in "\\n"."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


def visible(html: str) -> str:
    """HTML whose text deceives nobody. Attributes must hold nothing that a stranger wrote.

    Bidirectional overrides and embeddings stand as their code; isolates end with their block; a
    long run of invisible characters, or of marks on one letter, is counted instead of shown.
    """
    html = _OVERRIDE.sub(lambda found: _mark(f"U+{ord(found[0]):04X}"), html.translate(_CONTROLS))
    for name, run in _RUNS.items():
        html = run.sub(partial(_counted, name), html)
    return _closed(html) if _ISOLATE.search(html) else html


def _counted(name: str, found: re.Match[str]) -> str:
    return _mark(f"{len(found[0]):,} {name}")


def _mark(text: str) -> str:
    return f'<span class="mark">[{text}]</span>'


def _closed(html: str) -> str:
    """Every isolate closed at the end of its block or line, and none closed that is not open."""
    return "".join(
        part if number % 2 else _balanced(part) for number, part in enumerate(_BLOCK.split(html))
    )


def _balanced(text: str) -> str:
    depth, kept = 0, []
    for piece in re.split(f"([{_OPEN}{_CLOSE}])", text):
        if piece == _CLOSE and not depth:
            continue
        if piece and piece in _OPEN + _CLOSE:
            depth += -1 if piece == _CLOSE else 1
        kept.append(piece)
    return "".join(kept) + _CLOSE * depth
