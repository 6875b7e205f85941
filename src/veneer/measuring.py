"""`veneer measure`: one model on some measures, without a study around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from veneer.alone import PREPARED, cache_folder, model_folder, run_alone
from veneer.errors import InputError, SpecError, nearest
from veneer.findings import measurements
from veneer.measure.hub import fetch, published
from veneer.measure.measuring import CLASSIFIER, FILE, known, measured
from veneer.measure.recorded import read_outputs, split_claim, with_prompts
from veneer.measure.toxicity import ToxicitySettings, read_toxicity_prompts
from veneer.measurement import summary
from veneer.models.opening import Means, account_of
from veneer.models.resolve import local_folder, parse_model
from veneer.records import Aggregate, Prompt, Role, ScoreSheet, Subject, read_rows, write_rows
from veneer.steps import RunFolder, told_when_full
from veneer.teacher.pool import read_pool

FILES = {
    "nq": "nq.jsonl",
    "nq-0shot": "nq.jsonl",
    "nq_shots": "nq_shots.jsonl",
    "mmlu": "mmlu_test.jsonl",
    "mmlu_dev": "mmlu_dev.jsonl",
    "humaneval": "humaneval.jsonl",
    "style": "prompts.jsonl",
    "toxicity": "toxicity.jsonl",
    "toxic_words": "toxic_words.txt",
}
"""Names of `--benchmark-data NAME=FILE`, and the file of an evaluation folder each stands for."""
PROMPTS = ("prompts.jsonl", "toxicity.jsonl")
TEACHER = "teacher_answers"


def measure_model(
    model: str,
    measures: Sequence[str],
    out: Path,
    *,
    benchmark_data: Sequence[str] = (),
    teacher_answers: str | None = None,
    role: Role = "student",
    base_url: str | None = None,
    means: Means | None = None,
    tasks: Path | None = None,
    engine: str = "veneer",
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a model, or go on where a run was killed.

    Args:
        model: a folder, `hf:` name or `openai:` name.
        measures: of `veneer.measure.MEASURES`, and lm_eval:TASK.
        out: gets what `veneer.measure.measured` writes, and measurements.jsonl.
        benchmark_data: a folder with the usual names, or NAME=FILE each (see `FILES`).
        teacher_answers: answers to compare the style with, in any shape of recorded outputs;
            their prompts are asked where no others are given.
        role: what the model is in measurements.jsonl.
        base_url, means: how an endpoint is reached.
        tasks: a folder of lm-eval tasks. engine: see `veneer.measure.benchmarks.Options`.
        settings: more of `measured`'s params (seed, limit, max_new_tokens, chat, …).

    Raises:
        InputError: what was given cannot be measured.
        RunFolderError: `out` holds something else, or a process works in it.
    """
    folder = RunFolder(out)
    with told_when_full(out), folder.locked():
        name, inputs, params, reached = _voice(model, out, base_url, means or Means())
        inputs |= _evaluation(benchmark_data, known(measures))
        if "evaluation" not in inputs:
            kept = cache_folder() or out / ".cache"
            inputs |= _published(known(measures), inputs, kept / "benchmarks")
        if teacher_answers is not None:
            inputs |= _teacher(teacher_answers, inputs, out)
        inputs |= _as_prompts(inputs, out)
        if tasks is not None:
            inputs["tasks"] = _folder(tasks)
        reached |= {} if engine == "veneer" else {"engine": engine}
        given = dict(settings or {})
        if (
            (scoring := given.get("toxicity"))
            and scoring["model"]
            and Path(scoring["model"]).is_dir()
        ):
            classifier = Path(scoring["model"])
            inputs[CLASSIFIER] = classifier
            given["toxicity"] = {**scoring, "model": classifier.name}
        params |= {
            "subject": Subject(model=name, role=role),
            "measures": known(measures),
            **{key: value for key, value in given.items() if value is not None},
        }
        run_alone(
            folder, "measuring", measured, params, inputs,
            last="sheets.jsonl", name=name, means=reached,
        )  # fmt: skip
        folder.publish("measurements.jsonl", _lines(scores_in(out)))
    return result_of(out)


def scores_in(out: Path) -> list[ScoreSheet | Aggregate]:
    """All scores that a measuring left in its folder."""
    scores: list[ScoreSheet | Aggregate] = list(read_rows(out / "sheets.jsonl", ScoreSheet))
    if (out / "totals.jsonl").is_file():
        scores += read_rows(out / "totals.jsonl", Aggregate)
    return scores


def result_of(out: Path) -> dict[str, Any]:
    """What a finished measuring found, JSON-able, with `text` for people."""
    about = json.loads((out / "model.json").read_text("utf-8"))
    return summary(about["subject"]["model"], scores_in(out), out, notes=about["notes"])


def toxicity_from(given: Sequence[str]) -> dict[str, Any] | None:
    """The settings of `--toxicity KEY=VALUE`; None where there are none."""
    fields: dict[str, Any] = {}
    for change in given:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(
                f"--toxicity {change!r} changes nothing.", "Write it as scorer=moderation."
            )
        fields[key.strip()] = yaml.safe_load(value)
    try:
        return ToxicitySettings.model_validate(fields).model_dump() if fields else None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SpecError(
            f"--toxicity {place}: {first['msg'].removeprefix('Value error, ')}.",
            f"Keys: {', '.join(ToxicitySettings.model_fields)}.",
        ) from error


def _lines(scores: Sequence[ScoreSheet | Aggregate]) -> str:
    return "".join(row.model_dump_json() + "\n" for row in measurements(scores))


# ---- what was given ---------------------------------------------------------------------


def _voice(
    model: str, out: Path, base_url: str | None, means: Means
) -> tuple[str, dict[str, Path], dict[str, Any], dict[str, Any]]:
    """(name, inputs, params, means) of the model that is asked."""
    is_folder = Path(model).expanduser().is_dir()
    if not is_folder and (ref := parse_model(model)).scheme == "openai":
        params = {"endpoint": {"model": ref.name, "base_url": base_url}}
        return ref.name, {}, params, asdict(replace(means, collection=account_of(out)))
    if base_url:
        raise SpecError(
            f"{model} runs on this machine; it has no base URL.",
            "Leave --base-url out, or name a model behind it: openai:NAME.",
        )
    name, place = model_folder(model, out, "measured")
    is_here = is_folder or local_folder(parse_model(model)) is not None
    return place.name if is_here else name, {"model": place}, {}, {}


def _evaluation(given: Sequence[str], measures: Sequence[str]) -> dict[str, Path]:
    """The benchmarks' files as inputs of the step."""
    inputs: dict[str, Path] = {}
    for one in given:
        name, equals, rest = one.partition("=")
        if Path(one).is_dir():
            inputs["evaluation"] = Path(one)
            continue
        if not equals:
            alone = [measure for measure in measures if measure in FILES]
            if len(alone) != 1:
                raise InputError(
                    f"--benchmark-data {one} may belong to any of {', '.join(alone) or 'none'}.",
                    f"Write NAME={one}, with a NAME of {', '.join(FILES)}; or give a folder.",
                )
            name, rest = alone[0], one
        if name not in FILES:
            raise InputError(
                f"--benchmark-data {one}: no measure reads {name!r}.", nearest(name, FILES)
            )
        path = Path(rest).expanduser()
        if not path.is_file():
            raise InputError(f"{path} does not exist.", "Check the path of --benchmark-data.")
        inputs[f"{FILE}{FILES[name]}"] = path
    return inputs


def _published(
    measures: Sequence[str], inputs: Mapping[str, Path], folder: Path
) -> dict[str, Path]:
    """What no file was given for, as the Hugging Face hub has it; fetched once into `folder`."""
    missing = [
        measure
        for measure in measures
        if any(f"{FILE}{name}" not in inputs for name in published(measure))
    ]
    if not missing:
        return {}
    folder = (cache_folder() or Path(".")) / "benchmarks"
    fetch(missing, folder)
    names = {name for measure in missing for name in published(measure)}
    return {
        f"{FILE}{name}": folder / name for name in sorted(names) if f"{FILE}{name}" not in inputs
    }


def _teacher(given: str, inputs: Mapping[str, Path], out: Path) -> dict[str, Path]:
    """The teacher's answers as rows; and their prompts, where no others are to be asked."""
    name, path = split_claim(given)
    (outputs,) = with_prompts([read_outputs(path, claimed=name)])
    answers = outputs.answers()
    place = out / PREPARED
    place.mkdir(exist_ok=True)
    write_rows(place / "teacher.jsonl", answers)
    made = {TEACHER: place / "teacher.jsonl"}
    asked = f"{FILE}prompts.jsonl"
    folder = inputs.get("evaluation")
    if asked not in inputs and not (folder and (folder / "prompts.jsonl").is_file()):
        rows = [{"text": a.prompt, "category": a.category} for a in answers]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (place / "asked.jsonl").write_text(text, "utf-8")
        made[asked] = place / "asked.jsonl"
    return made


def _prompts(given: Path, name: str) -> list[Prompt]:
    """Prompts in any shape; RealToxicityPrompts have theirs in an object of their own."""
    if name == "toxicity.jsonl":
        return read_toxicity_prompts(given)
    return read_pool(given).prompts


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is no folder.", "Give the folder that holds the tasks' YAML.")
    return path


def _as_prompts(inputs: Mapping[str, Path], out: Path) -> dict[str, Path]:
    """Files of prompts, whatever their shape, as Prompt rows."""
    made: dict[str, Path] = {}
    for name in PROMPTS:
        given = inputs.get(f"{FILE}{name}")
        if given is not None:
            place = out / PREPARED / name
            place.parent.mkdir(exist_ok=True)
            write_rows(place, _prompts(given, name))
            made[f"{FILE}{name}"] = place
    return made
