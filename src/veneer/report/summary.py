"""The findings in a dozen lines, for a terminal."""

from __future__ import annotations

from textwrap import fill

from veneer.records import Estimate, Findings

WIDTH = 30
MOST_ADVICE = 4
MOST_ALARMS = 2


def summary(findings: Findings, page: str) -> str:
    """The verdict, alarms, the two bars, the claims and where the report lies, as plain text."""
    style, capability = findings.veneer["style"], findings.veneer["capability"]
    lines = [
        fill(findings.verdict, 88),
        "",
        *_alarms(findings),
        f"style gap closed       {_bar(style)}",
        f"capability gap closed  {_bar(capability)}",
        "",
        *(f"{claim.verdict:<10} {claim.id}" for claim in findings.claims),
        "",
    ]
    for advice in findings.advice[:MOST_ADVICE]:
        lines.append(fill(f"Next: {advice.text}", 88, subsequent_indent="      "))
    return "\n".join([*lines, f"Report: {page}"])


def _alarms(findings: Findings) -> list[str]:
    """The first alarms, and how many more there are."""
    if not findings.alarms:
        return []
    shown = findings.alarms[:MOST_ALARMS]
    said = [fill(f"Alarm: {alarm.text}", 88, subsequent_indent="       ") for alarm in shown]
    rest = len(findings.alarms) - len(shown)
    if rest:
        said.append(f"       and {rest} more in the report")
    return [*said, ""]


def _bar(estimate: Estimate) -> str:
    unscored = f", {estimate.unscored} unscored" if estimate.unscored else ""
    if estimate.value is None:
        return f"undefined: {estimate.note.split(' · ')[0]} (n {estimate.n}{unscored})"
    filled = round(WIDTH * min(max(estimate.value, 0.0), 1.0))
    bar = "█" * filled + "·" * (WIDTH - filled)
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f" [{_percent(estimate.low)}, {_percent(estimate.high)}]"
    return f"{bar} {_percent(estimate.value):>5} %{interval}  n {estimate.n}{unscored}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}".replace("-", "−")
