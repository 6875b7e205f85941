"""What refining does to a student: on-policy distillation and preference imitation beside it.

    python bench/refining.py [--scale full] [--base L] [--amount 320000] [--prompts 800]

In the embedded study's world (seed 0) a student of `--base` imitates the teacher on `--amount`
tokens. Then it is refined on `--prompts` of the queries that imitation data was collected with:
by on-policy distillation, and by preferences that the teacher's likelihood decides (DPO), each
at every learning rate given. Nothing is selected: all are measured on the study's test sets, and
printed with their differences from the student and paired 95 % intervals over items. One seed:
the intervals say nothing of another world or another draw of samples.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from veneer.alone import cache_folder
from veneer.findings.paired import Pairing
from veneer.findings.resample import interval
from veneer.records import ScoreSheet, Subject, read_rows
from veneer.spec import load_study, parse_study
from veneer.steps import RunFolder, Step, run_steps
from veneer.student.refine import refine
from veneer.study import Examination
from veneer.trial import Source, Trial, Voice

MEASURES = ("style", "nq", "nq-0shot", "mmlu", "toxicity")
STUDENT = "student"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", default="full")
    options.add_argument("--base", default="L")
    options.add_argument("--corpus", default="broad")
    options.add_argument("--amount", type=int, default=320_000)
    options.add_argument("--prompts", type=int, default=800)
    options.add_argument("--on-policy", type=float, nargs="*", default=[1e-4, 3e-4, 1e-3])
    options.add_argument("--preference", type=float, nargs="*", default=[1e-5, 3e-5, 1e-4])
    options.add_argument("--beta", type=float, default=0.1)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path("runs/refining"))
    given = options.parse_args()
    study, _ = load_study("pocket")
    changes = {"pocket": given.scale, "bases": {given.base: f"pocket:{given.base}"}}
    study = parse_study({**study.model_dump(mode="json", by_alias=True), **changes})
    trial = Trial(study, Path("."), 0)
    student = trial.trained(given.base, given.corpus) / f"tokens-{given.amount}"

    refined: dict[str, Step] = {}
    common = {"prompts": given.prompts, "max_new_tokens": 160, "batch": 32}
    for rate in given.on_policy:
        how = {"by": "on-policy", **common, "learning_rate": rate}
        refined[f"on-policy {rate:g}"] = _refined(trial, student, how)
    for rate in given.preference:
        how = {"by": "preference", **common, "learning_rate": rate, "beta": given.beta}
        refined[f"preference {rate:g}"] = _refined(trial, student, how)

    models: dict[str, Source] = {
        "base": trial.model(study.bases[given.base]),
        STUDENT: student,
        **{name: step / "refined" for name, step in refined.items()},
    }
    measured = {
        name: _measured(trial, given, name, model, 0 if name == "base" else given.amount)
        for name, model in models.items()
    }
    again = Subject(model="teacher-again", role="teacher-again", seed=0)
    measured["teacher again"] = Examination(trial).measured(
        again, trial.voice(study.teacher.model), ["style", "toxicity"]
    )
    measured["teacher"] = Examination(trial).teacher()
    folder = RunFolder(given.out, cache_folder())
    with folder.locked():
        run_steps(measured.values(), folder, given.workers)
        _print(folder, refined, measured)


def _refined(trial: Trial, student: Source, how: dict[str, Any]) -> Step:
    inputs = {
        "student": student,
        "prompts": trial.file("pocket:queries.jsonl"),
        "model": trial.model(trial.study.teacher.model),
    }
    name = f"refined-{how['by']}-{how['learning_rate']:g}"
    return Step(name, refine, {"refinement": how, "seed": 0}, inputs, seconds=60)


def _measured(trial: Trial, given: Any, name: str, model: Source, tokens: int) -> Step:
    subject = Subject(
        model=f"{given.base}-{name.replace(' ', '-')}",
        role="student" if tokens else "base",
        base=given.base,
        corpus=given.corpus if tokens else None,
        tokens=tokens,
    )
    return Examination(trial).measured(subject, Voice(inputs={"model": model}), MEASURES)


def _print(folder: RunFolder, refined: dict[str, Step], measured: dict[str, Step]) -> None:
    for name, step in refined.items():
        facts = json.loads((folder.output(step) / "refine.json").read_text("utf-8"))
        taken = json.loads((folder.output(step) / "step.json").read_text("utf-8"))["seconds"]
        kept = ("pairs", "samples", "no_pair", "answers", "tokens", "cut_off", "steps", "loss")
        kept += ("margin", "preferred", "chosen")
        about = {key: facts[key] for key in kept if key in facts}
        print(f"{name} ({taken:.0f} s): {json.dumps(about)}")
    sheets = {
        name: list(read_rows(folder.output(step) / "sheets.jsonl", ScoreSheet))
        for name, step in measured.items()
    }
    pairing = Pairing([sheet for found in sheets.values() for sheet in found])
    print("\nscore in %, difference from the student with its paired 95 % interval")
    for first in sheets[STUDENT]:
        metric = (first.measure, first.metric)
        print(f"  {' '.join(metric)}")
        for name, found in sheets.items():
            own = [s for s in found if (s.measure, s.metric) == metric]
            if not own:
                continue
            one, other = pairing.together([own, [first]])
            line = f"    {name:18} {100 * one.value:5.1f}"
            span = interval(one - other) if name != STUDENT else None
            if span:
                gain = 100 * (one.value - other.value)
                line += f"  {gain:+.1f} ({100 * span[0]:+.1f} to {100 * span[1]:+.1f})"
                line += "" if span[0] <= 0 <= span[1] else "  *"
            print(line)


if __name__ == "__main__":
    main()
