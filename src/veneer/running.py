"""Run a study in a folder: locked, resumed, watched, published, reported."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from veneer import __version__
from veneer.alone import cache_folder
from veneer.cards import measured_cards
from veneer.conclusion import CORPUS, RESULTS, corpus_facts
from veneer.errors import InputError, Interrupted
from veneer.measure.sandbox import unavailable
from veneer.models.opening import account_of
from veneer.progress import duration, shown
from veneer.records import CorpusFacts, Findings
from veneer.report import build
from veneer.report.summary import summary
from veneer.spec import Study, load_study, parse_study
from veneer.steps import Event, RunFolder, Step, in_order, run_steps, told_when_full
from veneer.steps.on_ray import on_ray
from veneer.study import graph

RATINGS = "ratings"
"""Below a run folder: what raters preferred, a folder a packet."""


def run_study(
    given: str,
    out: Path | None = None,
    seeds: int | None = None,
    workers: int | None = None,
    means: Mapping[str, Any] | None = None,
    backend: Literal["local", "ray"] = "local",
    ray_address: str | None = None,
) -> dict[str, Any]:
    """Run a study, or go on with it, and publish findings and report.

    Args:
        given: a built-in name or the path of a study file.
        out: the run folder; `runs/NAME` by default.
        seeds: run seeds 0..N−1 instead of the study's own.
        workers: processes side by side; by default all cores for embedded models, which are
            tiny, and one for others, which fill a machine. Under Ray: tasks side by side, by
            default what the cluster has cores for.
        means: how endpoints are reached: fields of `veneer.models.opening.Means`.
        backend: where steps are done: processes of this machine, or a Ray cluster.
        ray_address: of a cluster that runs already; see `veneer.steps.on_ray.on_ray`.

    Returns:
        What `result_of` says, and the seconds that this call took.
    """
    study, here = load_study(given)
    if seeds is not None:
        study = study.model_copy(update={"seeds": tuple(range(seeds))})
    root = out or Path("runs") / study.name
    folder = RunFolder(root, cache_folder())
    begun = time.monotonic()
    with told_when_full(root), folder.locked():
        folder.claim(
            "study",
            study.model_dump(mode="json", by_alias=True),
            may_differ=("seeds", "budget"),
            notes={"here": str(here.resolve())},
        )
        goal = graph(study, here, {**(means or {}), "collection": account_of(root)}, rated_in(root))
        console = Console(stderr=True)
        if "humaneval" in study.measures and (missing := unavailable()):
            _say(console, f"humaneval stays unscored. {missing} Then run the study again.")
        with shown(console, study.name) as show:
            watch = _watching_terms(goal, folder, console, show)
            place = on_ray(folder, workers, ray_address) if backend == "ray" else None
            try:
                run_steps([goal], folder, workers or default_workers(study), watch, place)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"Interrupted; what was done is kept in {root}.",
                    "The same command goes on from there.",
                ) from None
        _publish(folder, goal, study, f"veneer run {given} --seeds {len(study.seeds)}")
    return {**result_of(root), "seconds": round(time.monotonic() - begun, 1)}


def conclude_again(root: Path) -> dict[str, Any]:
    """Conclude a finished study anew, with what raters preferred since; returns `result_of`.

    Raises:
        InputError: no study is there, or it is not finished.
    """
    study, here = study_in(root)
    folder = RunFolder(root, cache_folder())
    with told_when_full(root), folder.locked():
        goal = graph(study, here, rated=rated_in(root))
        left = [step.name for step in in_order([goal]) if not folder.done(step)]
        if left and left != [goal.name]:
            raise InputError(
                f"The study in {root} is not finished: {left[0]} is not done.",
                f"Finish it first:  veneer run … --out {root}",
            )
        command = json.loads((root / "provenance.json").read_text("utf-8"))["command"]
        run_steps([goal], folder, 1, lambda event: None)
        _publish(folder, goal, study, command)
    return result_of(root)


def rated_in(root: Path) -> list[Path]:
    """The folders below a run folder's `ratings/` that say what raters preferred."""
    return sorted(path.parent for path in (root / RATINGS).glob("*/sheets.jsonl"))


def _publish(folder: RunFolder, goal: Step, study: Study, command: str) -> None:
    """Results, provenance, cards and the report, where users look for them."""
    for name in RESULTS:
        folder.publish(name, folder.output(goal) / name)
    about = json.dumps(provenance(command, study, folder, goal), indent=1, ensure_ascii=False)
    folder.publish("provenance.json", about + "\n")
    measured_cards(folder, goal, study)
    build(folder.root)


def _watching_terms(
    goal: Step, folder: RunFolder, console: Console, show: Callable[[Event], None]
) -> Callable[[Event], None]:
    """Say what a corpus's terms forbid as soon as it is there, which is before it is trained on."""
    corpora = {
        source.name: (name.removeprefix(CORPUS), source)
        for name, source in goal.inputs.items()
        if name.startswith(CORPUS) and isinstance(source, Step)
    }

    def tell(name: str, step: Step) -> None:
        facts = corpus_facts(
            CorpusFacts(kind="broad"), name, {f"{CORPUS}{name}": folder.output(step)}
        )
        for sentence in facts.conflicts:
            _say(console, f"Terms: {sentence}")

    for name, step in corpora.values():
        if folder.done(step):
            tell(name, step)

    def watch(event: Event) -> None:
        show(event)
        if event.kind == "done" and event.step in corpora:
            tell(*corpora[event.step])

    return watch


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def default_workers(study: Study) -> int:
    """All cores for embedded models; one process for models that fill a machine."""
    return (os.cpu_count() or 1) if study.is_pocket else 1


def provenance(command: str, study: Study, folder: RunFolder, goal: Step) -> dict[str, Any]:
    """What ran, with which versions, for how long: shown at the foot of the report."""
    steps = []
    for step in in_order([goal]):
        record = json.loads((folder.output(step) / "step.json").read_text("utf-8"))
        steps.append({"name": step.name, "fingerprint": step.fingerprint, **_times(record)})
    return {
        "kind": "study",
        "command": command,
        "study": study.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "seeds": list(study.seeds),
        "versions": versions(),
        "steps": steps,
    }


def _times(record: dict[str, Any]) -> dict[str, Any]:
    return {"seconds": record["seconds"], "veneer": record["veneer"]}


def versions() -> dict[str, str]:
    """Of veneer, Python and the packages that results can depend on."""
    found = {"veneer": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "trl", "lm_eval", "tokenizers", "numpy"):
        found[package] = metadata.version(package)
    return found


def result_of(root: Path) -> dict[str, Any]:
    """How a finished run or audit ended, JSON-able, with `text` for people."""
    findings = Findings.model_validate_json((root / "findings.json").read_text("utf-8"))
    page = root / "report" / "index.html"
    return {
        "run": str(root),
        "report": str(page),
        "verdict": findings.verdict,
        "veneer": {k: v.model_dump(mode="json") for k, v in findings.veneer.items()},
        "claims": {claim.id: claim.verdict for claim in findings.claims},
        "text": summary(findings, str(page)),
    }


def study_in(root: Path) -> tuple[Study, Path]:
    """The study of a run folder, and the folder that its files are beside.

    Raises:
        InputError: `root` is no run folder, or holds something else than a study.
    """
    path = root / "study.json"
    if not path.is_file():
        raise InputError(
            f"{root} is not a run folder: it has no study.json.",
            "Give the folder that veneer run --out made.",
        )
    about = json.loads(path.read_text("utf-8"))
    if about["kind"] != "study":
        raise InputError(
            f"{root} holds an {about['kind']}, which has no steps.", "Read its report."
        )
    return parse_study(about["spec"], str(path)), Path(about["notes"]["here"])


def study_status(root: Path) -> dict[str, Any]:
    """Which steps of the study in a run folder are done; raises InputError for no run folder."""
    study, here = study_in(root)
    folder, steps = RunFolder(root), in_order([graph(study, here, rated=rated_in(root))])
    left = [step for step in steps if not folder.done(step)]
    lines = [f"{study.name}: {len(steps) - len(left)} of {len(steps)} steps done."]
    if left:
        seconds = sum(step.seconds for step in left) / default_workers(study)
        lines += [f"About {duration(seconds)} left. Not done yet:"]
        lines += [f"  {step.name}" for step in left]
        lines += [f"Go on with:  veneer run … --out {root}"]
    return {
        "study": study.name,
        "done": [step.name for step in steps if folder.done(step)],
        "left": [step.name for step in left],
        "text": "\n".join(lines),
    }
