"""The benchmarks' questions by name, for whoever looks at them and may not know the benchmarks."""

from __future__ import annotations

from pathlib import Path

from veneer.measure.names import BENCHMARKS
from veneer.records import write_rows
from veneer.steps import Job


def listed(job: Job) -> None:
    """Step: write items.jsonl, a BenchmarkItem row for every item of the measures.

    inputs: `evaluation`, a folder with the benchmarks' files. params: `measures`; what is no
    benchmark over local files (style, toxicity, tasks of lm-eval) is passed over.
    """
    from veneer.measure.benchmarks import item_texts

    rows = []
    for name in job.params["measures"]:
        if name in BENCHMARKS:
            rows += item_texts(name, Path(job.inputs["evaluation"]))
    write_rows(job.out / "items.jsonl", rows)
