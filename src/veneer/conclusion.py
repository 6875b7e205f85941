"""The last step of a study: all scores in, measurements, findings and examples out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from veneer.corpus.ledger import conflicts
from veneer.findings import category_measurements, conclude, measurements, write_findings
from veneer.records import (
    BY_RATERS,
    Aggregate,
    Answer,
    CorpusFacts,
    Example,
    LedgerLine,
    PreferenceReport,
    ScoreSheet,
    StudyFacts,
    Subject,
    Support,
    read_rows,
    write_rows,
)
from veneer.steps import Job, versioned

EXAMPLES = 8
CORPUS = "corpus:"
"""Inputs whose names begin so are corpora, and hold stats.json."""
SUPPORT = "support:"
"""Inputs called SUPPORT + corpus + ":" + seed hold support.jsonl."""
RATED = "rated:"
"""Inputs whose names begin so are what raters preferred: sheets.jsonl and preferences.jsonl."""
RESULTS = (
    "measurements.jsonl",
    "findings.json",
    "facts.json",
    "examples.jsonl",
    "categories.jsonl",
    "preferences.jsonl",
)


@versioned(2)
def concluded(job: Job) -> None:
    """Conclude from the folders of all measured models, and of what judges said of them.

    Params: `name`, `seeds`, `corpora` (CorpusFacts by name). Inputs: folders that hold
    sheets.jsonl, totals.jsonl and preferences.jsonl where there are any, and, of a measured model,
    model.json ({"subject", "parameters"}) and answers.jsonl; `CORPUS` + name, the folders of the
    first seed's corpora; `SUPPORT` + corpus + ":" + seed; `RATED` + name. Writes `RESULTS`.
    """
    found = Evidence()
    for count, (name, folder) in enumerate(job.inputs.items()):
        job.progress(count, len(job.inputs) + 2, "reading scores")
        if name.startswith(SUPPORT):
            corpus, _, seed = name.removeprefix(SUPPORT).rpartition(":")
            found.support[corpus, int(seed)] = list(read_rows(folder / "support.jsonl", Support))
        elif name.startswith(RATED):
            found.read_rated(folder)
        elif not name.startswith(CORPUS):
            found.read(folder)
    found.tell_raters_apart()
    facts = StudyFacts(
        name=job.params["name"],
        parameters=found.parameters,
        corpora={
            name: corpus_facts(CorpusFacts.model_validate(facts), name, job.inputs)
            for name, facts in job.params["corpora"].items()
        },
        seeds=tuple(job.params["seeds"]),
        notes=tuple(dict.fromkeys(found.notes)),
    )
    write_results(job.out, facts, found)


@dataclass
class Evidence:
    """What the steps of a study left: all that a conclusion rests on."""

    scores: list[ScoreSheet | Aggregate] = field(default_factory=list)
    preferences: list[PreferenceReport] = field(default_factory=list)
    support: dict[tuple[str, int], Sequence[Support]] = field(default_factory=dict)
    parameters: dict[str, int | None] = field(default_factory=dict)
    said: dict[Subject, list[Answer]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    rated: list[ScoreSheet] = field(default_factory=list)

    def read_rated(self, folder: Path) -> None:
        """Take in what raters preferred."""
        self.rated += read_rows(folder / "sheets.jsonl", ScoreSheet)
        self.preferences += read_rows(folder / "preferences.jsonl", PreferenceReport)

    def tell_raters_apart(self) -> None:
        """Raters' rates are the measure "preference"; beside a judge's, `BY_RATERS`."""
        judged = any(score.measure == "preference" for score in self.scores)
        called = {"measure": BY_RATERS} if judged else {}
        self.scores += [sheet.model_copy(update=called) for sheet in self.rated]

    def read(self, folder: Path) -> None:
        """Take in the folder of one measured or judged model."""
        self.scores += read_rows(folder / "sheets.jsonl", ScoreSheet)
        if (folder / "totals.jsonl").exists():
            self.scores += read_rows(folder / "totals.jsonl", Aggregate)
        if (folder / "preferences.jsonl").exists():
            self.preferences += read_rows(folder / "preferences.jsonl", PreferenceReport)
        if not (folder / "model.json").exists():
            return
        about = json.loads((folder / "model.json").read_text("utf-8"))
        subject = Subject.model_validate(about["subject"])
        self.notes += [f"{subject.model}: {note}" for note in about.get("notes", ())]
        if subject.role == "base":
            self.parameters[subject.base or subject.model] = about["parameters"]
        if (folder / "answers.jsonl").exists():
            self.said[subject] = list(read_rows(folder / "answers.jsonl", Answer))


def corpus_facts(facts: CorpusFacts, name: str, inputs: Mapping[str, Path]) -> CorpusFacts:
    """The facts with what became of the corpus's records, where its folder is among the inputs."""
    folder = inputs.get(f"{CORPUS}{name}")
    if folder is None:
        return facts
    stats = json.loads((folder / "stats.json").read_text("utf-8"))
    lines = tuple(LedgerLine.model_validate(line) for line in stats["ledger"])
    return facts.model_copy(
        update={
            "records": stats["records"] + stats["split_off"],
            "kept": stats["kept"],
            "dropped": stats["dropped"],
            "ledger": lines,
            "conflicts": tuple(conflicts(lines, name)),
        }
    )


def write_results(out: Path, facts: StudyFacts, found: Evidence) -> None:
    """Write `RESULTS` into a folder; equal scores give equal bytes."""
    sheets = [score for score in found.scores if isinstance(score, ScoreSheet)]
    write_rows(out / "measurements.jsonl", measurements(found.scores))
    write_findings(
        out / "findings.json", conclude(facts, found.scores, found.support, found.preferences)
    )
    (out / "facts.json").write_text(facts.model_dump_json(indent=1) + "\n", "utf-8")
    write_rows(out / "examples.jsonl", examples(found.said, facts.parameters))
    write_rows(out / "categories.jsonl", category_measurements(sheets))
    write_rows(out / "preferences.jsonl", found.preferences)


def examples(said: dict[Subject, list[Answer]], parameters: dict[str, int | None]) -> list[Example]:
    """A few prompts with what the teacher, the largest base and its students said.

    Takes the first seed; of each corpus the students of the least and the most data; as many
    categories of prompts as there are.
    """
    if not said:
        return []
    seed = min(subject.seed for subject in said)
    largest = max(parameters, key=lambda base: (parameters[base] or 0, base), default=None)
    chosen = [s for s in said if s.seed == seed and s.base in (None, largest)]
    amounts: dict[str | None, set[int]] = {}
    for subject in chosen:
        amounts.setdefault(subject.corpus, set()).add(subject.tokens or 0)
    chosen = [
        s
        for s in chosen
        if (s.tokens or 0) in (min(amounts[s.corpus]), max(amounts[s.corpus]))
        and s.role != "teacher-again"
    ]
    chosen.sort(key=_reading_order)
    by_prompt = {s: {a.prompt: a for a in reversed(said[s]) if a.sample == 0} for s in chosen}
    prompts = [p for p in by_prompt[chosen[0]] if all(p in rows for rows in by_prompt.values())]
    rows = []
    for prompt in _spread(prompts, {p: by_prompt[chosen[0]][p].category for p in prompts}):
        answers = tuple((subject, by_prompt[subject][prompt].text) for subject in chosen)
        category = by_prompt[chosen[0]][prompt].category
        rows.append(Example(prompt=prompt, category=category, answers=answers))
    return rows


def _reading_order(subject: Subject) -> tuple[int, str, int]:
    roles = ("teacher", "teacher-again", "base", "student")
    return roles.index(subject.role), subject.corpus or "", subject.tokens or 0


def _spread(prompts: list[str], category: dict[str, str]) -> list[str]:
    """`EXAMPLES` prompts, one of each category in turn."""
    piles: dict[str, list[str]] = {}
    for prompt in prompts:
        piles.setdefault(category[prompt], []).append(prompt)
    chosen: list[str] = []
    while piles and len(chosen) < EXAMPLES:
        for name in sorted(piles):
            chosen.append(piles[name].pop(0))
            if not piles[name]:
                del piles[name]
    return chosen[:EXAMPLES]
