"""The commands that make imitation data: collect, synthesize, curate, nearest.

Each opens what it needs, shows how far it is, and returns what the command prints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from veneer.errors import InputError, Interrupted, SpecError
from veneer.models.asking import Model
from veneer.models.opening import Means, account_of, endpoint_model
from veneer.models.resolve import parse_model, resolve
from veneer.progress import counted
from veneer.steps import told_when_full


@contextlib.contextmanager
def teacher_model(
    name: str, out: Path, base_url: str | None, means: Means, logprobs: bool = False
) -> Iterator[Model]:
    """The model that a command names, to be asked for the folder `out`."""
    ref = parse_model(name)
    if ref.scheme != "openai":
        if base_url:
            raise SpecError(
                f"{name} runs on this machine; it has no base URL.",
                f"Type --teacher openai:{ref.name} to ask an endpoint.",
            )
        yield resolve(ref)
        return
    out.mkdir(parents=True, exist_ok=True)
    means = replace(means, collection=account_of(out))
    with endpoint_model(ref.name, base_url, means, logprobs=logprobs) as model:
        yield model


def collect(
    prompts: Sequence[Path],
    teacher: str,
    out: Path,
    *,
    base_url: str | None = None,
    means: Means,
    samples: int = 1,
    temperature: float = 0.7,
    max_tokens: int = 512,
    seed: int | None = None,
    logprobs: bool = False,
) -> dict[str, Any]:
    """`veneer collect`: a teacher's answers to the prompts of some files."""
    from veneer.teacher.collection import collect_files

    with (
        told_when_full(out),
        teacher_model(teacher, out, base_url, means, logprobs) as model,
        _watched("collect") as tell,
    ):
        result = collect_files(
            prompts,
            model,
            out,
            samples=samples,
            temperature=temperature,
            max_new_tokens=max_tokens,
            seed=seed,
            progress=_with_note(tell, model),
        )
    return result


def synthesize(
    seeds: Path | None,
    teacher: str,
    out: Path,
    *,
    base_url: str | None = None,
    means: Means,
    count: int,
    template: str = "nq",
    values: Mapping[str, str],
    variant: Literal["self-instruct", "alpaca"] | None = None,
    requests: int | None = None,
    temperature: float | None = None,
    max_tokens: int = 1024,
    seed: int = 0,
) -> dict[str, Any]:
    """`veneer synthesize`: task data, or new instructions, that a teacher writes after seeds.

    `temperature`: None takes the published one, which is 1.0 but for Self-Instruct's 0.7.
    """
    from veneer.teacher.synthesis import self_instruct_files, synthesize_files

    with (
        told_when_full(out),
        teacher_model(teacher, out, base_url, means) as model,
        _watched("synthesize") as tell,
    ):
        settings: dict[str, Any] = {
            "count": count,
            "requests": requests,
            **({} if temperature is None else {"temperature": temperature}),
            "max_new_tokens": max_tokens,
            "seed": seed,
            "progress": tell,
        }
        if variant is None:
            return synthesize_files(seeds, model, out, template=template, values=values, **settings)
        if seeds is None:
            raise InputError(
                "Self-Instruct starts from tasks that people wrote.", "Give them with --seeds FILE."
            )
        return self_instruct_files(seeds, model, out, variant=variant, **settings)


def curate(
    files: Sequence[Path],
    out: Path,
    *,
    against: Sequence[Path] = (),
    options: Mapping[str, Any],
    backend: str = "local",
    workers: int | None = None,
    terms: Path | None = None,
    tokenizer: Path | None = None,
    category_judge: str | None = None,
    base_url: str | None = None,
    means: Means | None = None,
) -> dict[str, Any]:
    """`veneer curate`: files in, a corpus and an account of every record out."""
    from veneer.corpus.ledger import conflicts
    from veneer.corpus.pipeline import curate_files, curation_of
    from veneer.records import LedgerLine

    opened: contextlib.AbstractContextManager[Model | None] = contextlib.nullcontext()
    if category_judge is not None:
        opened = teacher_model(category_judge, out, base_url, means or Means())
    with told_when_full(out), opened as judge, _watched("curate") as tell:
        stats = curate_files(
            files,
            out,
            settings=curation_of(dict(options)),
            against=against,
            backend=backend,
            workers=workers,
            terms=terms,
            tokenizer=tokenizer,
            category_judge=judge,
            progress=tell,
        )
    lines = [LedgerLine.model_validate(line) for line in stats["ledger"]]
    return {**stats, "out": str(out), "text": _told(stats, out, conflicts(lines))}


def nearest(
    queries: Path,
    against: Path | None = None,
    out: Path | None = None,
    *,
    sample: int | None = None,
    threshold: float = 20.0,
) -> dict[str, Any]:
    """`veneer nearest`: the nearest sentence BLEU of each query of a file."""
    from veneer.corpus.similarity import nearest_file

    with _watched("nearest") as tell:
        return nearest_file(
            queries, against, out, sample=sample, threshold=threshold, progress=tell
        )


@contextlib.contextmanager
def _watched(title: str) -> Iterator[Any]:
    """A progress bar on a terminal; Ctrl-C ends in a word on how to go on."""
    try:
        with counted(Console(stderr=True), title) as tell:
            yield tell
    except KeyboardInterrupt:
        raise Interrupted(
            "Interrupted; what was done is kept.", "The same command goes on from there."
        ) from None


def _with_note(tell: Any, model: Model) -> Any:
    """Progress with what an endpoint says of itself: USD so far, requests a second."""
    note = getattr(model, "note", None)
    return lambda done, total: tell(done, total, note() if callable(note) else "")


def _told(stats: Mapping[str, Any], out: Path, conflicts: Sequence[str]) -> str:
    """What a person reads after a curation; the card says it all."""
    whole = stats["records"] + stats["split_off"]
    pieces = f" (in {whole:,} pieces)" if stats["split_off"] else ""
    kept = f"{stats['kept']:,} kept in {out / 'corpus.jsonl'}"
    lines = [f"{stats['records']:,} records read{pieces}, {kept}."]
    if stats["note"]:
        lines.append(stats["note"])
    reasons = sorted(stats["dropped"].items(), key=lambda item: (-item[1], item[0]))
    lines += [f"{count:>9,}  {reason}" for reason, count in reasons]
    if reasons:
        lines.append(f"Dropped records, whole and with their reasons: {out / 'dropped.jsonl'}")
    for name, found in stats.get("decontamination", {}).items():
        lines.append(
            f"{name}: {found['above']:,} of {found['n']:,} queries are above the threshold, "
            f"{found['identical']:,} identical; "
            f"mean of the nearest BLEU {found['mean_of_maxima']:.4f}."
        )
    for pair in stats["repeats"]:
        if pair["source"] != pair["repeats"]:
            lines.append(f"{pair['rows']:,} records of {pair['source']} repeat {pair['repeats']}.")
    lines += [f"Terms: {sentence}" for sentence in conflicts]
    lines.append(f"Data set card: {out / 'card.md'}")
    return "\n".join(lines)
