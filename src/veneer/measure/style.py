"""Style, the paper's Table 2: how a model's answers look beside a teacher's to the same prompts.

    list_agreement      share of answers with a list, where the teacher's has one
    summary_agreement   share of answers that close with a summary, where the teacher's does
    unigram_f1          shared words, F1 over multisets (the paper leaves the denominator open)
    unigram_recall      the same shared words as a share of the teacher's
    length_correlation  Pearson r of lengths in words (undefined where one has no variance)

A list is at least two lines that start with a bullet or a number. A closing summary is a last
paragraph that is not a list item and opens with a phrase of `CLOSINGS`. Words of the unigram
metrics are runs of `[a-z0-9]+` of the lowered text; words of lengths are split at white space.

The paper's ceiling is a second answer of the teacher: measure it as if it were a model's.
Answers are joined on the prompt. An answer that failed is unscored, on either side; an empty
answer is an answer (no list, no shared word, length 0). Nothing here loads a model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from veneer.records import UNHEARD, Answer, ScoreSheet, Subject

METRICS = (
    "list_agreement",
    "summary_agreement",
    "unigram_f1",
    "unigram_recall",
    "length_correlation",
)

CLOSINGS = (
    "all in all",
    "all things considered",
    "altogether",
    "as a whole",
    "at the end of the day",
    "in brief",
    "in closing",
    "in conclusion",
    "in essence",
    "in short",
    "in sum",
    "in summary",
    "on the whole",
    "overall",
    "taken together",
    "to conclude",
    "to recap",
    "to sum up",
    "to summarise",
    "to summarize",
    "ultimately",
)

_ITEM = re.compile(r"^[ \t]*(?:[-*+•‣◦–—·]|\(?\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_WORD = re.compile(r"[a-z0-9]+")
_CLOSING = re.compile(
    r"[\s*_#>\"'“]*(?:" + "|".join(map(re.escape, CLOSINGS)) + r")\b", re.IGNORECASE
)
_BREAK = re.compile(r"\n[ \t]*\n|\n")


def has_list(text: str) -> bool:
    """At least two lines that start with a bullet or a number."""
    found = _ITEM.finditer(text)
    return next(found, None) is not None and next(found, None) is not None


def has_summary(text: str) -> bool:
    """Whether the last paragraph (the last line that is not blank) closes with a summary.

    A text of one paragraph has no closing one.
    """
    paragraphs = [part for part in _BREAK.split(text.strip()) if part.strip()]
    if len(paragraphs) < 2:
        return False
    last = paragraphs[-1]
    return _ITEM.match(last) is None and _CLOSING.match(last) is not None


def shared_unigrams(teacher: str, other: str) -> tuple[float, float]:
    """(multiset F1, recall of the teacher's words); two texts without words share all, else 0."""
    first, second = _bag(teacher), _bag(other)
    one, two = first.total(), second.total()
    if one == 0 or two == 0:
        same = float(one == two)
        return same, same
    small, large = (first, second) if len(first) < len(second) else (second, first)
    shared = sum(min(count, large[word]) for word, count in small.items())
    return 2 * shared / (one + two), shared / one


def words(text: str) -> int:
    """Length in words: pieces between white space."""
    return len(text.split())


def style_sheets(
    teacher: Sequence[Answer], model: Sequence[Answer], subject: Subject
) -> list[ScoreSheet]:
    """Five sheets, one a metric of `METRICS`, items named by prompt id.

    A prompt counts once, with the lowest sample on either side. Prompts that only one side
    answered are left out (the caller counts what does not join). The agreement sheets hold only
    prompts where the teacher's answer has a list, or a summary. Categories are the answers' own.
    """
    asked, said = _by_prompt(teacher), _by_prompt(model)
    pairs = [(key, asked[key], said[key]) for key in asked if key in said]
    reasons = [_reason(one, other) for _, one, other in pairs]
    kinds = {key: one.category or other.category for key, one, other in pairs}

    def sheet(
        metric: str,
        score: Callable[[str, str], float],
        counts: Callable[[str], bool] | None = None,
        against: Callable[[str], float] | None = None,
    ) -> ScoreSheet:
        kept = [
            (key, one.text, other.text, reason)
            for (key, one, other), reason in zip(pairs, reasons, strict=True)
            if counts is None or (one.outcome not in UNHEARD and counts(one.text))
        ]
        named = tuple(kinds[key] for key, *_ in kept)
        return ScoreSheet(
            subject=subject,
            measure="style",
            metric=metric,
            kind="mean" if against is None else "pearson",
            items=tuple(key for key, *_ in kept),
            values=tuple(None if why else score(one, other) for _, one, other, why in kept),
            others=None
            if against is None
            else tuple(None if why else against(one) for _, one, _, why in kept),
            reasons=tuple(why for *_, why in kept) if any(why for *_, why in kept) else (),
            categories=named if any(named) else (),
        )

    return [
        sheet("list_agreement", lambda _, other: float(has_list(other)), counts=has_list),
        sheet("summary_agreement", lambda _, other: float(has_summary(other)), counts=has_summary),
        sheet("unigram_f1", lambda one, other: shared_unigrams(one, other)[0]),
        sheet("unigram_recall", lambda one, other: shared_unigrams(one, other)[1]),
        sheet(
            "length_correlation",
            lambda _, other: float(words(other)),
            against=lambda one: float(words(one)),
        ),
    ]


def _by_prompt(answers: Iterable[Answer]) -> dict[str, Answer]:
    chosen: dict[str, Answer] = {}
    for answer in answers:
        key = answer.prompt_id
        if key not in chosen or answer.sample < chosen[key].sample:
            chosen[key] = answer
    return chosen


def _reason(teacher: Answer, model: Answer) -> str:
    if teacher.outcome in UNHEARD:
        return f"teacher's answer failed: {teacher.reason or 'no reason given'}"
    if model.outcome in UNHEARD:
        return f"failed: {model.reason or 'no reason given'}"
    return ""


@lru_cache(maxsize=4096)
def _bag(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
