"""What a packet will take before anything starts: hours, money, raters, what it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.raters.packet import Packet
from veneer.raters.power import (
    AGREEMENT,
    DECIDING,
    MTURK_FEE,
    PROLIFIC_ACADEMIC,
    PROLIFIC_FEE,
    WORDS_A_MINUTE,
    Design,
    cost,
    detectable,
    prompts_needed,
    raters_needed,
    seconds_for,
    table,
)
from veneer.rating.screening import PackSettings

TARGET = 0.55
"""The win rate that is to be told from one half."""
EACH = 100
"""Pairs that one rater may well rate; an example."""

FEW = 30
"""Prompts below which the normal approximation is rough."""


def result_of(
    out: Path,
    packet: Packet,
    settings: PackSettings,
    models: Sequence[str],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """What was packed, what was left out and why, and what it will take; `text` for people."""
    facts = packet.facts
    equal = sum(row.second_wins is not None for row in packet.settled)
    failed = len(packet.settled) - equal
    shown = [len(f"{p.prompt} {p.output_1} {p.output_2}".split()) for p in packet.pairs]
    words = sum(shown) / len(shown)
    seconds = settings.seconds if settings.seconds is not None else seconds_for(words)
    gold = facts.gold / (facts.pairs + facts.gold)
    design = Design(facts.ratings, agreement=settings.agreement)
    scored = min(_scored(packet, model) for model in models)
    told = detectable(scored, design)
    fees = {"mturk": MTURK_FEE, "prolific": PROLIFIC_FEE}
    if settings.fee is not None:
        fees = {"crowd": settings.fee}
    sums = {
        name: cost(facts.pairs, facts.ratings, gold, seconds, settings.hourly_usd, fee)
        for name, fee in {"own": 0.0, **fees}.items()
    }
    found: dict[str, Any] = {
        "out": str(out),
        "models": list(models),
        "against": facts.against,
        "prompts": facts.prompts,
        "dropped": facts.dropped,
        "pairs": facts.pairs,
        "settled": {"equal": equal, "failed": failed},
        "ratings": facts.ratings,
        "votes": facts.pairs * facts.ratings,
        "gold": facts.gold,
        "seconds_per_pair": round(seconds, 1),
        "hours": round(sums["own"].hours, 2),
        "usd": {name: round(one.total, 2) for name, one in sums.items()},
        "raters": {
            "fewest": facts.ratings,
            f"at_{EACH}_pairs_each": raters_needed(facts.pairs, facts.ratings, EACH),
        },
        "prompts_a_model": scored,
        "detectable": None if told is None else round(told, 4),
        "prompts_for_55": prompts_needed(TARGET, design),
        "notes": list(notes),
    }
    lines = [*_what(packet, models, equal, failed, settings), *notes, ""]
    lines += _takes(packet, settings, found, words, sums)
    return {**found, "text": "\n".join([*lines, "", *_tells(found, design, settings, scored)])}


def by_count(dropped: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons and how many prompts they took, the most frequent first."""
    return sorted(dropped.items(), key=lambda item: (-item[1], item[0]))


def _scored(packet: Packet, model: str) -> int:
    """Prompts on which a model gets a verdict, of raters or without them."""
    rated = sum(
        model in (key.first, key.second) for key in packet.keys.values() if key.gold is None
    )
    return rated + sum(
        row.second_wins is not None for row in packet.settled if model in (row.first, row.second)
    )


def _what(
    packet: Packet, models: Sequence[str], equal: int, failed: int, settings: PackSettings
) -> list[str]:
    facts = packet.facts
    on = f"{facts.prompts:,} prompts" if facts.prompts > 1 else "1 prompt"
    lines = [f"{', '.join(models)} beside {facts.against} on {on}: {facts.pairs:,} pairs to rate."]
    if equal:
        lines.append(f"{equal:,} more pairs are equal answers: ties that nobody need look at.")
    if failed:
        lines.append(f"{failed:,} more pairs have an answer that failed: they stay unscored.")
    if facts.dropped:
        lines.append(f"Prompts left out: {sum(facts.dropped.values()):,}")
        lines += [f"  {count:>6,}  {reason}" for reason, count in by_count(facts.dropped)]
    wanted = max(round(facts.pairs * settings.gold / (1 - settings.gold)), 1)
    if settings.gold and facts.gold < wanted:
        lines.append(f"Only {facts.gold:,} of {wanted:,} attention checks could be made.")
    return lines


def _takes(
    packet: Packet,
    settings: PackSettings,
    found: dict[str, Any],
    words: float,
    sums: dict[str, Any],
) -> list[str]:
    facts, seconds = packet.facts, found["seconds_per_pair"]
    pace = "as given"
    if settings.seconds is None:
        pace = (
            f"{words:,.0f} words at {WORDS_A_MINUTE:g} a minute and {DECIDING:g} s to decide; "
            "measure it on a few first"
        )
    share = 100 * facts.gold / (facts.pairs + facts.gold)
    lines = [
        f"Ratings wanted       {found['votes']:,} ({facts.ratings} raters a pair)",
        f"Attention checks     {facts.gold:,}, {share:.0f} % of what a rater sees",
        f"Raters' work         {found['hours']:,.1f} hours at {seconds:g} s a pair ({pace})",
        f"Own people           USD {sums['own'].total:,.2f} at USD {settings.hourly_usd:g} an hour",
    ]
    named = {"mturk": "Mechanical Turk", "prolific": "Prolific", "crowd": "A crowd"}
    said = {
        "mturk": f"{100 * MTURK_FEE:g} % fees",
        "prolific": f"{100 * PROLIFIC_FEE:g} % fees; universities {100 * PROLIFIC_ACADEMIC:g} %",
    }
    for name, label in named.items():
        if name in sums:
            what = said.get(name, f"{100 * (settings.fee or 0):g} % fees")
            lines.append(f"{label:<20} USD {sums[name].total:,.2f} ({what})")
    many = found["raters"][f"at_{EACH}_pairs_each"]
    lines.append(f"Raters               at least {facts.ratings}; {many:,} at {EACH} pairs each")
    return lines


def _tells(found: dict[str, Any], design: Design, settings: PackSettings, scored: int) -> list[str]:
    told, needed = found["detectable"], found["prompts_for_55"]
    if told is None:
        first = f"With {scored:,} prompts a model no win rate is told from 50 %."
    else:
        first = (
            f"With {scored:,} prompts a model a win rate of {100 * told:.1f} % or more (or "
            f"{100 * (1 - told):.1f} % or less) is told from 50 %."
        )
    source = ""
    if settings.agreement == AGREEMENT:
        source = " (crowd workers in QLoRA, section 6.2)"
    if scored < FEW:
        first += " With so few this is rough."
    lines = [
        f"{first} To tell {100 * TARGET:.0f} % takes {needed:,}, which is "
        f"{needed * design.ratings:,} ratings a model.",
        f"Two-sided test at 5 %, power 80 %, the majority of {design.ratings} ratings, agreement "
        f"between raters {design.agreement:g}{source}, no ties.",
        *table(scored, design),
    ]
    return lines
