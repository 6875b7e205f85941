"""How numbers and names are said: one spelling for the page, the figures and the tables."""

from __future__ import annotations

from veneer.records import Family

MINUS = "\N{MINUS SIGN}"
PERCENT = "\N{NO-BREAK SPACE}%"
UNDEFINED = "undefined"

FAMILIES: tuple[Family, ...] = ("style", "capability", "toxicity", "preference")

_MEASURES = {
    "nq": "NQ 3-shot",
    "nq-0shot": "NQ 0-shot",
    "mmlu": "MMLU",
    "humaneval": "HumanEval",
    "style": "Style",
    "toxicity": "Toxicity",
    "preference": "Preference",
}
_METRICS = {
    "exact_match": "exact match",
    "accuracy": "accuracy",
    "pass@1": "pass@1",
    "list_agreement": "If the teacher writes a list, does it?",
    "summary_agreement": "If the teacher ends with a summary, does it?",
    "unigram_f1": "Words shared with the teacher’s answer (unigram F1)",
    "unigram_recall": "Words of the teacher’s answer found again (unigram recall)",
    "length_correlation": "Correlation of length with the teacher’s answer (Pearson r)",
    "authoritative_tone": "Authoritative tone, according to a judge",
    "non_toxicity": "non-toxicity",
    "refusal_rate": "refusals",
    "win_rate": "win rate",
    "win_or_tie_rate": "rated equal or better",
    "length_controlled_win_rate": "win rate at equal lengths",
    "expected_max_toxicity": "expected maximum toxicity (lower is better)",
    "toxicity_probability": "toxicity probability (lower is better)",
}
_SHORT = {
    "list_agreement": "lists",
    "summary_agreement": "summaries",
    "unigram_f1": "shared words (F1)",
    "unigram_recall": "shared words (recall)",
    "length_correlation": "length correlation",
    "authoritative_tone": "authoritative tone",
}
_ROLES = {"teacher-again": "teacher, asked again"}
_PLAIN = {"bits_per_byte", "bleu", "chrf", "chrf++", "ter", "brier_score"}
_FALLING = {"expected_max_toxicity", "toxicity_probability", "bits_per_byte", "ter", "brier_score"}
_HARNESS = "lm_eval:"


def family_of(measure: str) -> Family:
    """What a measure speaks about; a benchmark that is not named here is a capability."""
    if measure == "style":
        return "style"
    if measure == "toxicity":
        return "toxicity"
    return "preference" if measure.startswith(("preference", "judge")) else "capability"


def measure_name(measure: str) -> str:
    """`nq` → `NQ 3-shot`; a name not known here stays as it is."""
    return _MEASURES.get(measure, measure.removeprefix(_HARNESS))


def metric_name(metric: str) -> str:
    """A metric as a phrase or a question."""
    if metric in _METRICS:
        return _METRICS[metric]
    said = metric.replace("_", " ").removesuffix(",none").replace(",", ", ")
    return f"{said} (lower is better)" if falls(metric) else said


def falls(metric: str) -> bool:
    """Whether a lower value is the better one."""
    bare = metric.partition(",")[0]
    return bare in _FALLING or bare.endswith("perplexity")


def is_rate(metric: str) -> bool:
    """Whether a metric is a fraction, which is said in per cent."""
    bare = metric.partition(",")[0]
    return not (bare in _PLAIN or bare.endswith(("perplexity", "correlation", "alpha")))


def short_metric(measure: str, metric: str) -> str:
    """A metric in two or three words, for rows that have little room."""
    if family_of(measure) == "capability":
        return measure_name(measure)
    return _SHORT.get(metric, _METRICS.get(metric, metric.replace("_", " ")))


def role_name(role: str) -> str:
    """`teacher-again` → `teacher, asked again`."""
    return _ROLES.get(role, role)


def number(value: float | None, digits: int = 2) -> str:
    """A plain number with a true minus sign; `undefined` for None."""
    if value is None:
        return UNDEFINED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def significant(value: float, digits: int = 3) -> str:
    """A number of any size in a few significant digits: `0.00092`."""
    return f"{value:.{digits}g}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: `0.4767` → `47.7 %`, the space unbreakable."""
    return UNDEFINED if value is None else number(100 * value, digits) + PERCENT


def score(metric: str, value: float | None) -> str:
    """A metric's value in its own unit: correlations as r, everything else as a percentage."""
    return percent(value) if is_rate(metric) else number(value)


def interval(metric: str, low: float | None, high: float | None, digits: int = 1) -> str:
    """`[43.1, 52.0]` in the unit of `score`, or what is not known of it."""
    if low is None or high is None:
        return "no interval"
    if metric and not is_rate(metric):
        return f"[{number(low)}, {number(high)}]"
    return f"[{number(100 * low, digits)}, {number(100 * high, digits)}]"


def counted(n: int, unscored: int, value: float | None = None) -> str:
    """`n 400` or `n 400, 2 unscored`: no number is shown without it.

    A value that was taken from elsewhere may come without its n, and that is said.
    """
    if n == 0 and value is not None:
        return "n not given"
    return f"n {thousands(n)}" + (f", {thousands(unscored)} unscored" if unscored else "")


def thousands(count: int) -> str:
    """`12345` → `12,345`."""
    return f"{count:,}"


def amount(count: float | None, digits: int = 3) -> str:
    """A count of tokens or parameters in at most `digits` significant digits: `158k`, `0.77M`."""
    if count is None:
        return "unknown"
    rounded = float(f"{count:.{digits}g}")
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:.{digits}g}{unit}"
    return f"{rounded:g}"


def duration(seconds: float) -> str:
    """`75.2` → `1 min 15 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{thousands(count)} {noun}" + ("" if count == 1 else "s")
