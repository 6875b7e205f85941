"""Choosing what to ask next against asking at random, at the same teacher budget.

    python bench/choosing.py [--scale full] [--base L] [--after 1000] [--count 1500] [--seeds 3]

In the embedded study's world (seed 0) the teacher answers `--after` random prompts, a student is
trained on them, and `--count` more prompts are chosen from the rest of the pool: at random, by
the student's uncertainty or entropy, or by its foretold disagreement with the teacher, "balanced"
where every category keeps its share of the pool. Then each
choice's answers join the first ones and a fresh student is trained on both. Every strategy asks
the teacher equally often; since longer answers mean more training, the students are also
compared after the same number of tokens. Prints the students' scores and their differences from
random with paired 95 % intervals over items and seeds (of the choice and of the training).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from veneer.alone import cache_folder
from veneer.corpus.curate import curate
from veneer.findings.paired import Pairing
from veneer.findings.resample import interval
from veneer.measure import measured
from veneer.records import ScoreSheet, Subject, read_rows
from veneer.spec import Study, load_study, parse_study
from veneer.steps import RunFolder, Step, run_steps
from veneer.student.train import train
from veneer.study import Examination
from veneer.teacher.choosing import BY, choose
from veneer.teacher.collect import collect
from veneer.trial import Source, Trial, Voice

MEASURES = ["style", "nq", "nq-0shot", "mmlu"]
BALANCED = " balanced"
STRATEGIES = (*BY, "uncertainty balanced", "disagreement balanced")
EQUAL, ALL = "equal tokens", "all answers"


def _dashed(name: str) -> str:
    return name.replace(" ", "-")


class Experiment:
    """One seed's steps; the world and its pretrained models are those of the study's seed."""

    def __init__(self, trial: Trial, base: str, after: int, count: int, seed: int) -> None:
        self.trial, self.study, self.seed = trial, trial.study, seed
        self.base, self.after, self.count = base, after, count
        self.recipe = self.study.recipe_of("broad")

    def choice(self, by: str, count: int, **inputs: Source) -> Step:
        """Prompts chosen from the pool."""
        params = {"by": by.removesuffix(BALANCED), "count": count, "seed": self.seed}
        if by.endswith(BALANCED):
            params["balance"] = True
        pool = self.trial.file("pocket:queries.jsonl")
        return Step(
            f"choice-{by}-{count}-c{self.seed}", choose, params, {"prompts": pool, **inputs}
        )

    def first(self) -> Step:
        """The random prompts that every strategy starts from."""
        return self.choice("random", self.after)

    def said(self, name: str, prompts: Step) -> Step:
        """The teacher's answers to chosen prompts."""
        params: dict[str, Any] = {
            "name": "teacher",
            "temperature": 0.7,
            "max_new_tokens": 160,
            "samples": 1,
            "seed": self.seed,
        }
        inputs = {"model": self.trial.model(self.study.teacher.model), "prompts": prompts}
        return Step(f"said-{_dashed(name)}-c{self.seed}", collect, params, inputs)

    def corpus(self, name: str, *said: Step) -> Step:
        """Answers as a corpus, the test questions kept out."""
        inputs: dict[str, Source] = {f"answers{i}": one for i, one in enumerate(said)}
        inputs |= {f"against{i}": source for i, source in enumerate(self.trial.kept_out())}
        inputs["tokenizer"] = self.trial.model(self.study.bases[self.base])
        return Step(f"corpus-{_dashed(name)}-c{self.seed}", curate, {"dedup": "query"}, inputs)

    def student(self, name: str, corpus: Step, amounts: list[int]) -> Step:
        """Students of a corpus."""
        params = {"recipe": self.recipe, "budgets": amounts, "seed": self.seed}
        inputs = {"base": self.trial.model(self.study.bases[self.base]), "corpus": corpus}
        return Step(f"student-{_dashed(name)}-c{self.seed}", train, params, inputs, seconds=8)

    def measure(self, name: str, model: Source, tokens: int) -> Step:
        """A student measured."""
        role = "base" if tokens == 0 else "student"
        subject = Subject(
            model=f"{self.base}-{_dashed(name)}",
            role=role,
            base=self.base,
            corpus=name if tokens else None,
            tokens=tokens,
            seed=self.seed,
        )
        step = Examination(self.trial).measured(subject, Voice(inputs={"model": model}), MEASURES)
        return Step(f"{step.name}-{tokens}", measured, step.params, step.inputs, seconds=4)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", default="full")
    options.add_argument("--base", default="L")
    options.add_argument("--after", type=int, default=1000)
    options.add_argument("--count", type=int, default=1500)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("runs/choosing"))
    given = options.parse_args()
    trial = Trial(_study(given.scale, given.base), Path("."), 0)
    folder = RunFolder(given.out, cache_folder())
    runs = [Experiment(trial, given.base, given.after, given.count, s) for s in range(given.seeds)]
    with folder.locked():
        _compare(folder, runs, given.workers)


def _study(scale: str, base: str) -> Study:
    study, _ = load_study("pocket")
    changes = {"pocket": scale, "bases": {base: f"pocket:{base}"}}
    return parse_study({**study.model_dump(mode="json", by_alias=True), **changes})


def _compare(folder: RunFolder, runs: list[Experiment], workers: int) -> None:
    def tokens(corpus: Step) -> int:
        stats = json.loads((folder.output(corpus) / "stats.json").read_text("utf-8"))
        return int(stats["tokens"]["all"])

    starts = [
        (run, said := run.said("first", run.first()), run.corpus("first", said)) for run in runs
    ]
    run_steps([corpus for *_, corpus in starts], folder, workers)
    corpora: dict[tuple[int, str], tuple[Step, Step]] = {}
    for run, said, corpus in starts:
        amount = tokens(corpus)
        student = run.student("first", corpus, [amount]) / f"tokens-{amount}"
        for by in STRATEGIES:
            more = {} if by == "random" else {"student": student}
            choice = run.choice(by, run.count, answers=said, **more)
            both = run.corpus(by, said, run.said(by, choice))
            corpora[run.seed, by] = (choice, both)
    run_steps([step for pair in corpora.values() for step in pair], folder, workers)
    measures: list[tuple[str, str, Step]] = []
    for run in runs:
        amounts = {by: tokens(corpora[run.seed, by][1]) for by in STRATEGIES}
        same = min(amounts.values())
        step_tokens = run.recipe.tokens_per_step
        for by in STRATEGIES:
            whole = amounts[by]
            # Two amounts that are the same number of whole steps are the same student.
            two = whole - same >= step_tokens
            trained = run.student(by, corpora[run.seed, by][1], [same, whole] if two else [same])
            at = {EQUAL: same, ALL: whole if two else same}
            measures += [
                (by, which, run.measure(by, trained / f"tokens-{amount}", amount))
                for which, amount in at.items()
            ]
    bases = [run.measure("base", trial_base(run), 0) for run in runs[:1]]
    run_steps([*(step for *_, step in measures), *bases], folder, workers)
    _print(folder, corpora, tokens, measures, bases)


def trial_base(run: Experiment) -> Source:
    """The base that all students start from."""
    return run.trial.model(run.study.bases[run.base])


def _print(folder: RunFolder, corpora: Any, tokens: Any, measures: Any, bases: Any) -> None:
    for (seed, by), (choice, corpus) in corpora.items():
        about = json.loads((folder.output(choice) / "choice.json").read_text("utf-8"))
        line = {k: about[k] for k in ("chosen", "passed", "unscored", "categories", "foretold")}
        print(f"seed {seed} {by}: {tokens(corpus)} tokens; {json.dumps(line)}")
    scores: dict[tuple[str, str, str], list[ScoreSheet]] = defaultdict(list)
    names: dict[str, None] = {}
    every: dict[str, list[ScoreSheet]] = {}
    for by, which, step in [
        *measures,
        *(("base", which, b) for b in bases for which in (EQUAL, ALL)),
    ]:
        path = folder.output(step) / "sheets.jsonl"
        if str(path) not in every:
            every[str(path)] = list(read_rows(path, ScoreSheet))
        for sheet in every[str(path)]:
            name = f"{sheet.measure} {sheet.metric}"
            names[name] = None
            scores[by, which, name].append(sheet)
    pairing = Pairing([sheet for sheets in every.values() for sheet in sheets])
    for which in (ALL, EQUAL):
        print(f"\n{which}: score in %, difference from random with its paired 95 % interval")
        for name in names:
            cells = []
            for by in ("base", *STRATEGIES):
                one, other = pairing.together(
                    [scores[by, which, name], scores["random", which, name]]
                )
                cells.append(f"{by} {100 * one.value:.1f}")
                span = interval(one - other) if by not in ("base", "random") else None
                if span:
                    gain = 100 * (one.value - other.value)
                    cells[-1] += f" ({gain:+.1f}: {100 * span[0]:+.1f} to {100 * span[1]:+.1f})"
            print(f"  {name:28} " + " | ".join(cells))


if __name__ == "__main__":
    main()
