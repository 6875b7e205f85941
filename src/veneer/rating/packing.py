"""`veneer rate pack`: a run's answers, or two files of outputs, as a packet for raters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veneer.corpus.filters import refusal_in
from veneer.errors import InputError, RunFolderError, SpecError
from veneer.raters.packet import FACTS, Packet, digest_of, read_packet, write_packet
from veneer.raters.pairing import Answered, Beside, Check, Draw, attention_checks, paired
from veneer.rating.material import Material, of_files, of_run
from veneer.rating.packed import by_count, result_of
from veneer.rating.screening import UNKNOWN, Asked, PackSettings, names_in, screened
from veneer.records import (
    UNHEARD,
    PacketFacts,
    Settled,
)


def settings_of(**given: Any) -> PackSettings:
    """Settings as the command names them; raises SpecError where they cannot be."""
    try:
        return PackSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(map(str, first["loc"])).replace("_", "-")
        raise SpecError(
            f"--{option}: {first['msg']}.", "veneer rate pack --help lists what may be given."
        ) from error


def pack_run(
    run: Path,
    out: Path,
    *,
    models: Sequence[str] = (),
    against: str | None = None,
    of_seed: int | None = None,
    settings: PackSettings = PackSettings(),
) -> dict[str, Any]:
    """A packet of what a run's models said to its evaluation prompts.

    Args:
        run: the folder of a run; the answers that are packed must be there, the rest need not.
        out: the packet; one of equal content is left as it is.
        models: by the run's names; "all" for every base and student. By default the students of
            every base and corpus that were given most data.
        against: whom they are compared with; the teacher unless given.
        of_seed: of the study's seeds; the first unless given.
        settings: see `PackSettings`.

    Returns:
        `veneer.rating.packed.result_of`: JSON-able, with `text` for people.

    Raises:
        InputError: no study, not finished, unknown models, no prompt left.
        RunFolderError: `out` holds something else.
    """
    _check_free(out)
    return _packed(of_run(run, models, against, of_seed), out, settings)


def pack_outputs(
    one: str,
    other: str,
    out: Path,
    *,
    questions: Path | None = None,
    corpus: Sequence[Path] = (),
    settings: PackSettings = PackSettings(),
) -> dict[str, Any]:
    """A packet of two files of recorded outputs: the first model beside the second.

    Args:
        one, other: `FILE` or `NAME=FILE`, in any shape that `read_outputs` knows.
        questions: the texts of questions that outputs know by `question_id` only.
        corpus: the imitation data of the first model, files of any known format: prompts near
            their questions are left out.

    Others, returns and raises as `pack_run`.
    """
    _check_free(out)
    return _packed(of_files(one, other, questions, corpus), out, settings)


# ---- the packet ------------------------------------------------------------------------------


def _packed(material: Material, out: Path, settings: PackSettings) -> dict[str, Any]:
    if material.embedded:
        settings = settings.for_embedded_world()
    told = names_in(settings.title, [*material.names, *material.private])
    if told:
        raise InputError(
            f"The title {settings.title!r} names {told[0]}, and raters see it.",
            "Give another --title.",
        )
    kept, dropped = screened(
        material.rows, material.models, material.against, material.training, material.names,
        settings,
    )  # fmt: skip
    chosen, spare = _limited(kept, settings)
    if spare:
        dropped[f"beyond the {len(chosen):,} asked for"] = len(spare)
    pairs, settled = _sorted_out(chosen, material)
    if not pairs:
        raise InputError(*_nothing_left(material, dropped, settled))
    checks = _checks(material.against, chosen, spare, len(pairs), settings)
    rated, keys = paired(pairs, checks, material.against, settings.seed)
    facts = PacketFacts(
        title=settings.title,
        ratings=settings.ratings,
        seed=settings.seed,
        pairs=len(pairs),
        gold=len(checks),
        against=material.against,
        subjects=dict(material.subjects),
        prompts=len(chosen),
        dropped=dict(sorted(dropped.items())),
        made_from=material.made_from,
        digest=digest_of(settings.ratings, rated, keys),
    )
    packet = Packet(facts, tuple(rated), {key.item: key for key in keys}, tuple(settled))
    if (out / FACTS).is_file():
        _check_same(out, packet)
    else:
        write_packet(out, facts, rated, keys, settled)
    return result_of(out, packet, settings, material.models, material.notes)


def _limited(kept: Sequence[Asked], settings: PackSettings) -> tuple[list[Asked], list[Asked]]:
    """The prompts of the study and those beyond its limit, each in their old order."""
    if settings.prompts is None or len(kept) <= settings.prompts:
        return list(kept), []
    draw = Draw(settings.seed, [row.prompt for row in kept])
    drawn = sorted((row.prompt for row in kept), key=lambda text: draw.hex("prompt", text))
    taken = set(drawn[: settings.prompts])
    return [r for r in kept if r.prompt in taken], [r for r in kept if r.prompt not in taken]


def _sorted_out(chosen: Sequence[Asked], material: Material) -> tuple[list[Beside], list[Settled]]:
    """Pairs for raters, and those that nobody need look at: equal answers, and failed ones."""
    pairs, settled = [], []
    for row in chosen:
        theirs = row.answers[material.against]
        for model in material.models:
            mine = row.answers[model]
            failed = next((one for one in (theirs, mine) if one.outcome in UNHEARD), None)
            known = {"prompt": row.prompt, "first": material.against, "second": model}
            known["category"] = row.category
            if failed is not None:
                name = material.against if failed is theirs else model
                reason = f"{name}'s answer failed: {failed.reason or failed.outcome}"
                settled.append(Settled(**known, second_wins=None, reason=reason))
            elif mine.text.strip() == theirs.text.strip():
                settled.append(Settled(**known, second_wins=0.5, reason="equal answers"))
            else:
                text, other = mine.text.strip(), theirs.text.strip()
                pairs.append(Beside(row.prompt, model, text, material.against, other, row.category))
    return pairs, settled


def _checks(
    against: str,
    chosen: Sequence[Asked],
    spare: Sequence[Asked],
    pairs: int,
    settings: PackSettings,
) -> list[Check]:
    if not settings.gold:
        return []
    usable = [
        [
            Answered(row.prompt, row.answers[against].text.strip(), row.category)
            for row in rows
            if row.answers[against].outcome == "answered"
            and not refusal_in(row.answers[against].text)
        ]
        for rows in (chosen, spare)
    ]
    count = max(round(pairs * settings.gold / (1 - settings.gold)), 1)
    return attention_checks(usable[0], count, settings.seed, usable[1])


def _nothing_left(
    material: Material, dropped: Mapping[str, int], settled: Sequence[Settled]
) -> tuple[str, str]:
    if settled:
        reasons = sorted({row.reason for row in settled})
        return (
            f"Raters have nothing to look at: all {len(settled):,} pairs are settled without them "
            f"({'; '.join(reasons[:3])}).",
            "Choose other models.",
        )
    lines = [f"  {count:,} {reason}" for reason, count in by_count(dropped)]
    hint = (
        "Loosen what took most: --bleu (1 drops none for nearness), --keep-coding, --language, "
        "--keep-self-naming."
    )
    if UNKNOWN in dropped:
        hint = "Add --questions FILE, which holds the texts of the questions."
    return f"None of {len(material.rows):,} prompts is left for raters:\n" + "\n".join(lines), hint


def _check_free(out: Path) -> None:
    """Before anything is read: whether a packet can be there."""
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file, not a folder.", "Choose another --out.")
    if out.is_dir() and not (out / FACTS).is_file() and any(out.iterdir()):
        raise RunFolderError(f"{out} holds something else than a packet.", "Choose another --out.")


def _check_same(out: Path, packet: Packet) -> None:
    found = read_packet(out)
    if found.facts != packet.facts or found.settled != packet.settled:
        names = [
            name
            for name in PacketFacts.model_fields
            if getattr(found.facts, name) != getattr(packet.facts, name)
        ]
        raise RunFolderError(
            f"{out} holds another packet ({', '.join(names) or 'settled pairs'} differ), and votes "
            "may have been given on it.",
            "Choose another --out.",
        )
