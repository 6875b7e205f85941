"""One curation from files to a folder of results; killed anywhere, the same call goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from veneer.corpus.card import card
from veneer.corpus.pipeline import inputs
from veneer.corpus.pipeline.backends import Backend, filtered_parts, side_by_side
from veneer.corpus.pipeline.inputs import DataFile
from veneer.corpus.pipeline.judging import Judged, judge
from veneer.corpus.pipeline.labelling import labelled
from veneer.corpus.pipeline.parts import ROWS
from veneer.corpus.pipeline.reading import Evaluation, Reading, part_path, read_evaluations
from veneer.corpus.pipeline.settings import Curation
from veneer.corpus.pipeline.summary import summary
from veneer.corpus.pipeline.writing import appear, clear, joined, write_fragments
from veneer.corpus.stats import counts_of, merged
from veneer.models.asking import Model
from veneer.steps import RunFolder, fingerprint

Progress = Callable[[float, float, str], None]


def curate_files(
    files: Sequence[str | Path],
    out: Path,
    *,
    settings: Curation | None = None,
    against: Sequence[Path] = (),
    backend: Backend = "local",
    workers: int | None = None,
    tokenizer: Path | None = None,
    terms: Path | None = None,
    category_judge: Model | None = None,
    progress: Progress | None = None,
    alone: bool = True,
) -> dict[str, Any]:
    """Make a corpus of imitation data out of files, and account for every record.

    Args:
        files: data files in the formats that `veneer.corpus.importing` knows, or folders with
            corpus.jsonl, answers.jsonl or pairs.jsonl, or "hub:NAME".
        out: a folder for corpus.jsonl (Dialogue rows), dropped.jsonl (Dropped rows), stats.json
            and card.md; with `decontaminate.remove` "evaluation" also evaluation-clean.jsonl (the
            evaluation's records as they were) and contaminated.jsonl. Work that is not finished
            lies in `out/.work`, is reused by the next call, and is removed at the end.
        settings: the filters; see `Curation`.
        against: evaluation files, whose text is kept apart.
        backend: "local" or "ray"; the results are the same to the byte.
        workers: processes; None for as many as there are processors.
        tokenizer: a Hugging Face folder; stats.json then counts tokens.
        terms: the user's own file of terms for the licence ledger; see `veneer.corpus.ledger`.
        category_judge: a model that sorts queries into categories, in place of the rules.
        progress: told (done, total, note).
        alone: hold `out` against other processes.

    Returns:
        What stats.json holds.

    Raises:
        InputError: a file cannot be used, or `out` holds something else.
        RunFolderError: another process works on `out`.
    """
    settings = settings or Curation()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with RunFolder(out).locked() if alone else nullcontext():
        data = inputs.data_files(files)
        tests = [Path(each) for each in against]
        name = "" if category_judge is None else category_judge.name
        if category_judge is not None:
            settings = settings.model_copy(update={"categories": False})
        wanted = inputs.made_from(data, tests, settings, tokenizer, terms, name)
        earlier = inputs.earlier_result(out, wanted)
        if earlier is not None:
            clear(out / inputs.WORK)
            return earlier
        evaluations = read_evaluations(tests)
        run = _Run(out, settings, wanted, tokenizer, terms, _workers(workers), progress)
        parts = run.filter(data, backend)
        judged = judge(parts, settings, evaluations, run.tell(0.6, 0.75))
        labels = None
        if category_judge is not None:
            labels, without = labelled(parts, judged, category_judge, run.tell(0.75, 0.75))
            judged.facts["unlabelled"] = dict(sorted(without.items()))
        counts = run.write(parts, judged, labels)
        stats = run.publish(counts, judged, evaluations)
        clear(out / inputs.WORK)
        return stats


def _workers(given: int | None) -> int:
    if given is not None:
        return max(given, 1)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() and int(threads) else len(os.sched_getaffinity(0))


class _Run:
    """The parts of one curation, and how far it is (0 to 1)."""

    def __init__(
        self,
        out: Path,
        settings: Curation,
        wanted: dict[str, Any],
        tokenizer: Path | None,
        terms: Path | None,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self.out, self.settings, self.wanted = out, settings, wanted
        self.tokenizer, self.terms = tokenizer, terms
        self.workers, self.progress = workers, progress
        self.work = out / inputs.WORK
        self.results: dict[str, str] = {}

    def tell(self, start: float, end: float) -> Callable[[float, str], None]:
        """Tell how far a stage is, as a share of the whole."""

        def told(fraction: float, note: str) -> None:
            if self.progress is not None:
                whole = start + (end - start) * min(fraction, 1.0)
                self.progress(round(1000 * whole), 1000, note)

        return told

    # ---- filtering -----------------------------------------------------------------------

    def filter(self, data: Sequence[DataFile], backend: Backend) -> list[Path]:
        """The parts of all files, in order; those that are there already are not made again."""
        tell, started = self.tell(0.0, 0.6), time.monotonic()
        parts: list[Path] = []
        sizes = [file.size or 1 for file in data]
        records = 0
        for at, file in enumerate(data):
            folder = self.work / f"parts-{self._key(file)}"
            folder.mkdir(parents=True, exist_ok=True)
            done = folder / "done.json"
            if not done.exists():
                reading = Reading(file, folder, self.settings)
                for made, _ in enumerate(
                    filtered_parts(reading, self.settings, backend, self.workers), 1
                ):
                    pace = (records + made * ROWS) / max(time.monotonic() - started, 1e-9)
                    note = f"{file.name}: {made * ROWS:,} records, {pace:,.0f} a second"
                    tell((sum(sizes[:at]) + reading.share * sizes[at]) / sum(sizes), note)
                records += reading.parts * ROWS
                appear(done, json.dumps({"parts": reading.parts}))
            found = json.loads(done.read_text("utf-8"))
            parts += [part_path(folder, number) for number in range(found["parts"])]
        return parts

    def _key(self, file: DataFile) -> str:
        """Of all that decides a file's parts."""
        drop = {"decontaminate", "diversity"}
        settings = {k: v for k, v in self.wanted["settings"].items() if k not in drop}
        return fingerprint(
            {"file": file.identity, "settings": settings, "code": self.wanted["code"]}
        )

    # ---- writing -------------------------------------------------------------------------

    def write(
        self, parts: Sequence[Path], judged: Judged, labels: list[list[str]] | None = None
    ) -> dict[str, Any]:
        """Fragments of the results, and the sum of their counts."""
        tell, started = self.tell(0.75, 1.0), time.monotonic()
        folder = self._written()
        folder.mkdir(parents=True, exist_ok=True)
        calls = []
        for at, part in enumerate(parts):
            codes = judged.codes[judged.starts[at] : judged.starts[at + 1]].tobytes()
            mine = folder / part.parent.name
            mine.mkdir(exist_ok=True)
            mine_alone = None if labels is None else labels[at]
            calls.append((part, codes, mine, self.tokenizer, mine_alone))
        total: dict[str, Any] = merged([_nothing(self.tokenizer)])
        for done, counts in enumerate(side_by_side(write_fragments, calls, self.workers), 1):
            total = merged([total, counts])
            rows = total["records"] + total["split_off"]
            pace = rows / max(time.monotonic() - started, 1e-9)
            tell(done / len(calls), f"writing: {rows:,} rows, {pace:,.0f} a second")
        fragments = [folder / part.parent.name / part.stem for part in parts]
        self.results = {
            name: joined(
                (each.with_suffix(f".{name.split('.')[0]}") for each in fragments),
                self.out / name,
                self.work / name,
            )
            for name in ("corpus.jsonl", "dropped.jsonl")
        }
        return total

    def _written(self) -> Path:
        return self.work / f"written-{fingerprint(self.wanted)}"

    def publish(
        self, counts: dict[str, Any], judged: Judged, evaluations: Sequence[Evaluation]
    ) -> dict[str, Any]:
        """Write what is left: the evaluation's side, the card, and stats.json last."""
        if evaluations and self.settings.decontaminate.remove == "evaluation":
            self._write_evaluation(judged, evaluations)
        stats = summary(counts, judged.facts, self.wanted, self.terms)
        appear(self.out / "card.md", card(stats))
        self.results["card.md"] = inputs.digest_of(self.out / "card.md")
        stats["results"] = dict(sorted(self.results.items()))
        text = json.dumps(stats, indent=2, ensure_ascii=False) + "\n"
        appear(self.out / "stats.json", text)
        result: dict[str, Any] = json.loads(text)
        return result

    def _write_evaluation(self, judged: Judged, evaluations: Sequence[Evaluation]) -> None:
        clean, removed = [], []
        for each, found in zip(evaluations, judged.contaminated, strict=True):
            places = {row["place"] for row in found}
            clean += [_line(r) for at, r in enumerate(each.records) if at not in places]
            removed += [_line({k: v for k, v in row.items() if k != "place"}) for row in found]
        for name, lines in (("evaluation-clean.jsonl", clean), ("contaminated.jsonl", removed)):
            appear(self.out / name, "".join(lines))
            self.results[name] = inputs.digest_of(self.out / name)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _nothing(tokenizer: Path | None) -> dict[str, Any]:
    return counts_of([], [], []) | ({"tokens": {"all": 0, "learned": 0}} if tokenizer else {})
