"""How often one model's answers are preferred, and whether position or length did it.

Verdicts come one by one as `Comparison` rows, live from a judge or recorded by others. Here they
become one value a prompt, in 0 (lost) .. 1 (won):

- attempts: of the verdicts on a prompt in one order, the last attempt that was parsed counts;
  verdicts of the same attempt (an item that others judged several times) count with their mean;
- both orders: where they agree, that is the verdict; where they disagree the prompt is a tie
  (Zheng et al. 2023, "pair-v2"). Continuous preferences count with the mean of the two orders;
- a prompt judged in both orders of which only one gave a verdict is unscored, because one order
  alone carries the judge's position bias. Where most prompts were judged in both orders, a prompt
  judged in one order is unscored too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from veneer.intervals import Array, drawn, estimate_of, mean_of, seed_of, sums_of
from veneer.measure.length_controlled import length_controlled
from veneer.records import Comparison, Estimate, PreferenceReport, ScoreSheet, Subject, content_id

DRAW = 0.5
_DISCRETE = (0.0, DRAW, 1.0)
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Judged:
    """A prompt with its verdict: `value` is how far `me` won, None where there is none.

    `shown_first` and `shown_second` are the same by the order in which `me` was shown. `longer`
    is the length of me's answer less the opponent's, in characters.
    """

    prompt: str
    value: float | None
    reason: str
    shown_first: float | None
    shown_second: float | None
    longer: int | None
    category: str


def judged(comparisons: Sequence[Comparison], me: str) -> tuple[list[Judged], bool]:
    """(one verdict a prompt in order of first appearance, whether most were asked both ways).

    Raises:
        ValueError: a comparison without `me`, or with more than one opponent.
    """
    sides: dict[str, tuple[list[Comparison], list[Comparison]]] = {}
    opponents = set()
    for one in comparisons:
        if me not in (one.first, one.second):
            raise ValueError(f"a comparison of {one.first} and {one.second} says nothing of {me}")
        second = one.second == me
        opponents.add(one.first if second else one.second)
        sides.setdefault(one.prompt, ([], []))[second].append(one)
    if len(opponents) > 1:
        raise ValueError(f"several opponents of {me}: {', '.join(sorted(opponents))}")
    both = 2 * sum(bool(first and second) for first, second in sides.values()) > len(sides)
    counted = {prompt: (_counted(a), _counted(b)) for prompt, (a, b) in sides.items()}
    discrete = all(
        value in _DISCRETE for pair in counted.values() for value, _ in pair if value is not None
    )
    found = []
    for prompt, (ahead, behind) in sides.items():
        (lost, why_first), (won, why_second) = counted[prompt]
        mine = None if lost is None else 1 - lost
        value, reason = _together(mine, won, discrete)
        asked_both = bool(ahead and behind)
        if value is None or ((both or asked_both) and (mine is None or won is None)):
            reasons = [why_first] * bool(ahead) + [why_second] * bool(behind)
            reason = next((text for text in reasons if text), "judged in one order only")
            value = None
        found.append(
            Judged(
                prompt=prompt,
                value=value,
                reason=reason,
                shown_first=mine,
                shown_second=won,
                longer=_longer(ahead, behind),
                category=next((one.category for one in (*ahead, *behind) if one.category), ""),
            )
        )
    return found, both


def preference_sheets_of(
    comparisons: Sequence[Comparison], subject: Subject, against: str, *, me: str | None = None
) -> list[ScoreSheet]:
    """The verdicts as two score sheets of measure "preference": win_rate and win_or_tie_rate.

    Args:
        comparisons: verdicts on one model against one opponent, in any order.
        subject: whose sheets these are.
        against: what the results call the opponent ("teacher", or a model's name).
        me: the name of the subject in the comparisons, `subject.model` unless given.

    Raises:
        ValueError: a comparison of other models, or several opponents.
    """
    rows, _ = judged(comparisons, me or subject.model)
    categories = tuple(row.category for row in rows)
    win = tuple(row.value for row in rows)
    tie = tuple(None if value is None else float(value >= DRAW) for value in win)
    return [
        ScoreSheet(
            subject=subject,
            measure="preference",
            metric=metric,
            items=tuple(content_id(row.prompt) for row in rows),
            values=values,
            reasons=tuple(row.reason for row in rows),
            against=against,
            categories=categories if any(categories) else (),
        )
        for metric, values in (("win_rate", win), ("win_or_tie_rate", tie))
    ]


def preference_report(
    comparisons: Sequence[Comparison],
    subject: Subject,
    against: str,
    *,
    me: str | None = None,
    seed: int = 0,
) -> PreferenceReport:
    """The verdicts in sum; arguments as in `preference_sheets_of`.

    `standard_error` is that of AlpacaEval: the sample standard deviation over the square root of
    the prompts scored. `first_position` weighs the verdicts with either model shown first equally;
    where one model was always shown first (or is always named first, as in AlpacaEval's files,
    which do not tell what was shown), the judge's taste for a position cannot be told from the
    difference of the models, and it is None. `length_controlled` is fitted to the verdicts on
    prompts (`veneer.measure.length_controlled`, without difficulties) where lengths are known, and
    None where none is. Shares of verdicts come with bootstrap intervals over prompts, drawn from
    the prompts' names and `seed`, whatever the order of `comparisons`; that decides the folds of
    the length-controlled fit alone, as in AlpacaEval.

    Raises:
        ValueError: as in `preference_sheets_of`.
    """
    as_met, both = judged(comparisons, me or subject.model)
    rows = sorted(as_met, key=lambda row: row.prompt)
    key = seed_of([row.prompt for row in rows], seed)
    values = np.array([row.value for row in rows if row.value is not None], dtype=float)
    unscored = len(rows) - len(values)
    counts = drawn(len(values), key)
    position = _first_position(rows, key)
    agree = _orders_agree(rows, key)
    equal_lengths, effect = _at_equal_lengths(as_met, key)
    biases = [_position_words(position), _length_words(effect)]
    return PreferenceReport(
        subject=subject,
        against=against,
        judge=_one(one.judge for one in comparisons),
        template=_one(one.template for one in comparisons),
        orders="both" if both else "one",
        wins=int((values > DRAW).sum()),
        losses=int((values < DRAW).sum()),
        ties=int((values == DRAW).sum()),
        win_rate=mean_of(values, counts, unscored, key),
        standard_error=standard_error(values),
        win_or_tie_rate=mean_of((values >= DRAW).astype(float), counts, unscored, key),
        length_controlled=equal_lengths,
        length_effect=effect,
        first_position=position,
        orders_agree=agree,
        biases=tuple(text for text in biases if text),
        reasons=dict(sorted(Counter(row.reason for row in rows if row.value is None).items())),
    )


def standard_error(values: Array) -> float | None:
    """Sample standard deviation over √n; None for fewer than two values."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def _counted(attempts: Sequence[Comparison]) -> tuple[float | None, str]:
    """(how far the second won by the last attempt that was parsed, else why there is none)."""
    parsed = [one for one in attempts if one.second_wins is not None]
    if parsed:
        last = max(one.attempt for one in parsed)
        wins = [one.second_wins for one in parsed if one.attempt == last]
        return sum(wins) / len(wins), ""  # type: ignore[arg-type]
    last = max((one.attempt for one in attempts), default=0)
    reasons = [one.reason for one in attempts if one.attempt == last and one.reason]
    return None, reasons[-1] if reasons else NO_VERDICT if attempts else ""


def _together(one: float | None, two: float | None, discrete: bool) -> tuple[float | None, str]:
    if one is None or two is None:
        return (two if one is None else one), ""
    if discrete:
        return (one if one == two else DRAW), ""
    return (one + two) / 2, ""


def _longer(first: Sequence[Comparison], second: Sequence[Comparison]) -> int | None:
    for sign, ones in ((1, first), (-1, second)):
        for one in ones:
            if one.lengths is not None:
                return sign * (one.lengths[0] - one.lengths[1])
    return None


def _at_equal_lengths(
    rows: Sequence[Judged], key: Sequence[int]
) -> tuple[Estimate | None, Estimate | None]:
    known = [row for row in rows if row.longer is not None]
    if not known:
        return None, None
    wins = [np.nan if row.value is None else row.value for row in known]
    longer = np.array([row.longer for row in known], dtype=float)
    return length_controlled(
        np.array(wins, dtype=float), longer, key, unscored=len(rows) - len(known)
    )


def _first_position(rows: Sequence[Judged], key: Sequence[int]) -> Estimate | None:
    shown = np.array(
        [
            (
                np.nan if row.shown_first is None else row.shown_first,
                np.nan if row.shown_second is None else 1 - row.shown_second,
            )
            for row in rows
        ],
        dtype=float,
    ).reshape(-1, 2)
    known = np.isfinite(shown)
    if not known.any(axis=0).all():
        return None
    used = known.any(axis=1)
    won, known = np.where(known, shown, 0.0)[used], known[used].astype(float)
    counts = drawn(int(used.sum()), key)
    with np.errstate(invalid="ignore"):
        draws = (sums_of(counts, won) / sums_of(counts, known)).mean(axis=1)
    value = float((won.sum(axis=0) / known.sum(axis=0)).mean())
    return estimate_of(value, draws, int(known.sum()))


def _orders_agree(rows: Sequence[Judged], key: Sequence[int]) -> Estimate | None:
    pairs = [
        (row.shown_first, row.shown_second)
        for row in rows
        if row.shown_first is not None and row.shown_second is not None
    ]
    if not pairs:
        return None
    one, two = np.array(pairs, dtype=float).T
    same = (np.sign(one - DRAW) == np.sign(two - DRAW)).astype(float)
    return mean_of(same, drawn(len(same), key), 0, key)


def _position_words(found: Estimate | None) -> str:
    if found is None or found.value is None or found.low is None or found.high is None:
        return ""
    if found.low > DRAW:
        return f"the first answer shown won {_percent(found.value, found.low, found.high)}"
    if found.high < DRAW:
        share = _percent(1 - found.value, 1 - found.high, 1 - found.low)
        return f"the second answer shown won {share}"
    return ""


def _length_words(found: Estimate | None) -> str:
    if found is None or found.value is None or found.low is None or found.high is None:
        return ""
    if found.low <= 0 <= found.high:
        return ""
    which = "longer" if found.low > 0 else "shorter"
    return (
        f"{which} answers win: log-odds {found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}] "
        "for one unit of tanh-scaled length"
    )


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of verdicts"


def _one(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name for name in names if name))
