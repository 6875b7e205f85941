"""What a measure speaks about, which of its metrics counts, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from veneer.records import Family

STYLE = (
    "list_agreement",
    "summary_agreement",
    "unigram_f1",
    "length_correlation",
    "authoritative_tone",
)
"""The paper's Table 2. `unigram_recall` is a variant of the third and is not counted twice."""

VARIANTS = frozenset({"nq-0shot"})
"""Measures shown beside another that they vary; not counted in any mean."""

PRIMARY = (
    "exact_match",
    "accuracy",
    "acc",
    "pass@1",
    "score",
    "win_rate",
    "non_toxicity",
    "acc_norm",
    "f1",
)
"""Which metric of a measure counts where it has several; else the first by name."""

HARNESS = "lm_eval:"
"""Measures that begin so are tasks of lm-eval's, scored by whatever metrics the task names."""

HIGHER_IS_BETTER = frozenset(
    (
        *("exact_match", "accuracy", "acc", "acc_norm", "acc_mutual_info", "acc_bytes", "acc_all"),
        *("pass@1", "em", "f1", "mcc", "bleu", "chrf", "chrf++", "mc1", "mc2"),
        *("rouge1", "rouge2", "rougeL", "rougeLsum", "qa_f1_score", "contains"),
        *("prompt_level_strict_acc", "prompt_level_loose_acc"),
        *("inst_level_strict_acc", "inst_level_loose_acc"),
    )
)
"""Metrics of lm-eval tasks that rise with ability; a task without any of them is not counted.

A plain "score" is not among them: some tasks give that name to a toxicity.
"""

LOWER_IS_BETTER = frozenset(
    (
        *("expected_max_toxicity", "toxicity_probability", "toxicity"),
        *("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"),
        *("brier_score", "ter"),
    )
)
"""Metrics that fall as a model gets better; never counted in a mean."""

_FILTERS = ("none", "strict-match", "")
"""Where one metric was read through several filters, these count before others."""


class Metric(NamedTuple):
    """What was measured, and how it was scored."""

    measure: str
    metric: str


def family_of(measure: str) -> Family:
    """Style, toxicity and preference by name; every other measure is a benchmark: capability."""
    if measure in ("style", "toxicity"):
        return measure  # type: ignore[return-value]
    return "preference" if measure.startswith("preference") else "capability"


def falls(metric: str) -> bool:
    """Whether a lower value of the metric is the better one."""
    return _bare(metric)[0] in LOWER_IS_BETTER


def primary(metrics: Iterable[Metric]) -> list[Metric]:
    """One metric a measure, the measures in order of name: the one by which it counts.

    A measure of which no metric is known to rise with ability has none.
    """
    chosen: dict[str, str] = {}
    for measure, metric in metrics:
        known = not measure.startswith(HARNESS) or _bare(metric)[0] in HIGHER_IS_BETTER
        if known and not falls(metric):
            held = chosen.get(measure)
            if held is None or _rank(metric) < _rank(held):
                chosen[measure] = metric
    return [Metric(measure, metric) for measure, metric in sorted(chosen.items())]


def _rank(metric: str) -> tuple[int, int, str]:
    name, filtered = _bare(metric)
    places = [
        order.index(part) if part in order else len(order)
        for part, order in ((name, PRIMARY), (filtered, _FILTERS))
    ]
    return places[0], places[1], metric


def _bare(metric: str) -> tuple[str, str]:
    """lm-eval writes "exact_match,strict-match": the metric, and the filter it was read through."""
    name, _, filtered = metric.partition(",")
    return name, filtered
