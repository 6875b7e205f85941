"""Before a study begins: the packet, and what it takes to tell anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError


def packed(
    run: str, other: str | None, out: Path | None, *, models: str, against: str | None,
    of_seed: int | None, corpus: Sequence[Path], questions: Path | None, **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """A packet of a run's answers, or of two files of outputs; see `veneer.rating.packing`."""
    from veneer.rating.packing import pack_outputs, pack_run, settings_of

    if out is None:
        raise InputError(
            "--out is missing: the folder for the packet.",
            "Type: veneer rate pack RUN --out packets/NAME",
        )
    how = settings_of(**settings)
    if other is not None:
        if models or against or of_seed is not None:
            raise InputError(
                "--models, --against and --of-seed choose among the models of a run.",
                "Leave them out, or give a run alone.",
            )
        return pack_outputs(run, other, out, questions=questions, corpus=corpus, settings=how)
    if corpus or questions is not None:
        raise InputError(
            "--corpus and --questions belong to two files of outputs; a run knows its own.",
            "Leave them out, or give two files.",
        )
    names = [name.strip() for name in models.split(",") if name.strip()]
    return pack_run(Path(run), out, models=names, against=against, of_seed=of_seed, settings=how)


def power_told(
    prompts: int,
    ratings: int,
    rate: float,
    *,
    agreement: float | None,
    gold: float,
    seconds: float,
    hourly_usd: float,
) -> dict[str, Any]:
    """Prompts that a win rate needs, what the prompts at hand can tell, and the cost of either."""
    from veneer.raters import power

    if rate == 0.5:
        raise InputError(
            "A win rate of 0.5 is what others are told from.", "Give another, such as --to 0.55."
        )
    rho = power.AGREEMENT if agreement is None else agreement
    design = power.Design(ratings, agreement=rho)
    needed, told = power.prompts_needed(rate, design), power.detectable(prompts, design)
    sums = {n: power.cost(n, ratings, gold, seconds, hourly_usd) for n in (needed, prompts)}
    best = "no win rate" if told is None else f"win rates from {100 * told:.1f} % on"
    lines = [
        f"To tell {100 * rate:g} % from 50 % (5 % two-sided, power 80 %), majority of {ratings} "
        f"raters: {needed:,} prompts, {needed * ratings:,} ratings.",
        f"{prompts:,} prompts tell {best}.",
        *(
            f"{n:,} prompts: {each.hours:,.1f} h, USD {each.usd:,.2f} at USD {hourly_usd:g} an "
            f"hour before a crowd's fees ({seconds:g} s a pair, {100 * gold:g} % checks)."
            for n, each in sums.items()
        ),
        f"Agreement between raters assumed: {rho:g}, no ties.",
        "",
        *power.table(prompts, design),
    ]
    return {
        "rate": rate,
        "ratings": ratings,
        "agreement": rho,
        "prompts_needed": needed,
        "prompts": prompts,
        "detectable": told,
        "hours": sums[needed].hours,
        "usd": sums[needed].usd,
        "text": "\n".join(lines),
    }
