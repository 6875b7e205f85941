"""Step: from answers, pairs and files to a corpus that is clean and asks no test question."""

from __future__ import annotations

from pathlib import Path

from veneer.corpus.dedup import Dedup
from veneer.corpus.pipeline import Curation, curation_of
from veneer.errors import InputError
from veneer.steps import Job
from veneer.steps.graph import versioned

DEDUPS: tuple[Dedup, ...] = ("query", "pair", "none")
AGAINST = "against"
TOKENIZER = "tokenizer"
UNASKED = {
    "sameness": "folded",
    "categories": False,
    "diversity": 0,
    "decontaminate": {"bleu": None},
}
"""What a study that names no options gets: evaluation text is found by equality alone."""


@versioned(2)
def curate(job: Job) -> None:
    """Step: a corpus from collected answers, synthesised pairs or imitation data files.

    inputs: any names, in their alphabetical order; each is a data file, or a step's folder with
        answers.jsonl, pairs.jsonl or corpus.jsonl. Names that begin with "against" hold
        evaluation queries that must not be asked in the corpus. An input `tokenizer` (a Hugging
        Face folder) makes the stats count tokens.
    params: `dedup` "query" (default; the first dialogue of each first question is kept),
        "pair" (the first of each dialogue) or "none", all up to case, width and spacing;
        `curation` options of `veneer.corpus.pipeline.Curation` by name, which go over `dedup`.
    Writes what `veneer.corpus.pipeline.curate_files` writes.

    Evaluation queries are found by equality with any question of a dialogue, up to case, width,
    spacing and punctuation; near matches are looked for where `curation` has `decontaminate`.
    """
    from veneer.corpus.pipeline.run import curate_files

    data = {name: Path(path) for name, path in sorted(job.inputs.items()) if name != TOKENIZER}
    tokenizer = job.inputs.get(TOKENIZER)
    curate_files(
        [path for name, path in data.items() if not name.startswith(AGAINST)],
        job.out,
        settings=settings_of(job),
        against=[path for name, path in data.items() if name.startswith(AGAINST)],
        tokenizer=None if tokenizer is None else Path(tokenizer),
        progress=job.progress,
        alone=False,
    )


def settings_of(job: Job) -> Curation:
    """The options of a step.

    Raises:
        InputError: one of them is unknown or has a value that it cannot have.
    """
    dedup = job.params.get("dedup", "query")
    if dedup not in DEDUPS:
        raise InputError(f"Cannot deduplicate by {dedup!r}.", f"Known: {', '.join(DEDUPS)}.")
    return curation_of({**UNASKED, "dedup": dedup, **job.params.get("curation", {})})
