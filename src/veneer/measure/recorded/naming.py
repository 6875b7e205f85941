"""Whether two names can be of one model: claims, file names, and what files say inside."""

from __future__ import annotations

import re
from pathlib import Path

FAMILIES = (
    "alpaca", "baize", "bard", "bloom", "claude", "davinci", "deepseek", "dolly", "falcon",
    "gemini", "gemma", "gpt", "guanaco", "koala", "llama", "mistral", "mixtral", "mpt", "oasst",
    "openchat", "palm", "phi", "pythia", "qwen", "stablelm", "vicuna", "wizardlm",
)  # fmt: skip
"""Well-known model names. A file whose name starts with one says whose outputs it holds."""

_GENERATION = r"\d+(?:\.\d+)?(?![\d.]*[bm]\b)"
_FAMILY = re.compile(rf"(?<![a-z])({'|'.join(FAMILIES)})(?![a-z])[-_ ]?({_GENERATION})?")
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)[bm](?![a-z0-9])")
_DATE = re.compile(r"(?<!\d)\d{4}(?!\d)")


def same_model(claimed: str, inside: str) -> bool:
    """Whether a claim means the model that a file names, letter case and version aside."""
    one, two = claimed.lower(), inside.lower()
    return one == two or one == two.split(":")[0]


def stem_of(path: Path) -> str:
    """The file's name without its endings."""
    return path.name.split(".json")[0]


def contradicts(path: Path, inside: str) -> bool:
    """Whether a file is called after another model than the one that its fields name.

    Only a plain contradiction counts: the name starts with a known family, and the family
    (its generation, the size, or the four-digit snapshot) is another one inside. Names that
    say nothing ("teacher.jsonl") or are not known contradict nothing.
    """
    outside, inside = stem_of(path).lower().removeprefix("text_"), inside.lower()
    told = _FAMILY.match(outside)
    families = {found[0]: found[1] for found in _FAMILY.findall(inside)}
    if told is None or not families:
        return False
    if told[1] not in families:
        return True
    one, two = ((text or "").replace(".", "") for text in (told[2], families[told[1]]))
    if one and two and not (one.startswith(two) or two.startswith(one)):
        return True
    return any(_differ(pattern, outside, inside) for pattern in (_SIZE, _DATE))


def _differ(pattern: re.Pattern[str], outside: str, inside: str) -> bool:
    one, two = set(pattern.findall(outside)), set(pattern.findall(inside))
    return bool(one and two and not one & two)
