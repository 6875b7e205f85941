"""The report's colours: one accent for style, one for capability, ink and greys for the rest.

Figures are drawn with the light colours; inside the page each becomes a CSS variable that has
a second value for dark screens. Orange and blue stay apart for every common kind of colour
blindness; bases are told apart by shade and by marker as well, smaller ones fainter.
"""

from __future__ import annotations

from veneer.records import Family

INK = "#1c2128"
MUTED = "#59636e"
GRID = "#dfe3e8"
PAPER = "#ffffff"

SHADES: dict[str, tuple[str, ...]] = {
    "style": ("#cc8842", "#b45a00", "#7d3d00", "#4d2600"),
    "capability": ("#5b9ad3", "#1d6cb3", "#0d4780", "#082c52"),
    "plain": ("#8793a0", "#56626e", "#333e49", "#12181f"),
}
_DARK_SHADES: dict[str, tuple[str, ...]] = {
    "style": ("#ab7543", "#f0a25a", "#ffcb97", "#fff0df"),
    "capability": ("#4c85bb", "#82b8f0", "#b9d9fb", "#eaf4ff"),
    "plain": ("#84909c", "#aab5c0", "#d0d8df", "#f2f5f7"),
}
_DARK = {INK: "#e8ecf0", MUTED: "#9aa5b0", GRID: "#30373f", PAPER: "#161a1f"}
_NAMES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"}

MARKERS = ("o", "s", "^", "D", "v", "P")


def accent(family: Family) -> str:
    """The shade that bars and single lines of a family have."""
    return shades(family)[1]


def shades(family: Family) -> tuple[str, ...]:
    """Light-screen shades of a family, faint to strong."""
    return SHADES.get(family, SHADES["plain"])


def ramp(family: Family, count: int) -> tuple[str, ...]:
    """`count` shades, faint to strong; one alone is the accent."""
    found = shades(family)
    if count <= 1:
        return (found[1],)
    if count <= 3:
        return found[:3:2] if count == 2 else found[:3]
    return tuple(found[round(i * 3 / (count - 1))] for i in range(count))


def variables() -> dict[str, str]:
    """Light colour → CSS variable, for every colour that a figure can have."""
    named = {colour: f"--{name}" for colour, name in _NAMES.items()}
    for family, found in SHADES.items():
        named |= {colour: f"--{family}-{i}" for i, colour in enumerate(found, 1)}
    return named


def stylesheet(dark: bool) -> str:
    """The declarations of those variables for light or for dark screens."""
    pairs = {colour: _DARK[colour] if dark else colour for colour in _NAMES}
    for family, found in SHADES.items():
        pairs |= dict(zip(found, _DARK_SHADES[family] if dark else found, strict=True))
    names = variables()
    return "".join(f"{names[colour]}:{value};" for colour, value in pairs.items())
