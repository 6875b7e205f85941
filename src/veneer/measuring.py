"""`veneer measure`: one model on some measures, without a study around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from veneer.alone import PREPARED, model_folder, run_alone
from veneer.errors import InputError, SpecError, nearest
from veneer.findings import measurements
from veneer.measure.measuring import FILE, known, measured
from veneer.measure.recorded import read_outputs, split_claim, with_prompts
from veneer.models.opening import Means, account_of
from veneer.models.resolve import parse_model
from veneer.records import Aggregate, Measurement, Role, ScoreSheet, Subject, read_rows, write_rows
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
        settings: more of `measured`'s params (seed, limit, max_new_tokens, chat, …).

    Raises:
        InputError: what was given cannot be measured.
        RunFolderError: `out` holds something else, or a process works in it.
    """
    folder = RunFolder(out)
    with told_when_full(out), folder.locked():
        name, inputs, params, reached = _voice(model, out, base_url, means or Means())
        inputs |= _evaluation(benchmark_data, known(measures))
        if teacher_answers is not None:
            inputs |= _teacher(teacher_answers, inputs, out)
        inputs |= _as_prompts(inputs, out)
        params |= {
            "subject": Subject(model=name, role=role),
            "measures": known(measures),
            **{key: value for key, value in (settings or {}).items() if value is not None},
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
    scores = scores_in(out)
    rows = measurements(scores)
    reasons = {
        f"{sheet.measure} {sheet.metric}": dict(sorted(_counted(sheet.reasons).items()))
        for sheet in scores
        if isinstance(sheet, ScoreSheet) and any(sheet.reasons)
    }
    by_measure: dict[str, dict[str, Any]] = {}
    for row in rows:
        number = row.model_dump(include={"value", "low", "high", "n", "unscored"})
        by_measure.setdefault(row.measure, {})[row.metric] = number
    return {
        "out": str(out),
        "model": rows[0].model if rows else "",
        "measures": by_measure,
        "unscored_reasons": reasons,
        "text": "\n".join([*table(rows), *_explained(reasons), f"Scores: {out}"]),
    }


def table(rows: Sequence[Measurement]) -> list[str]:
    """Measurements in lines that are read at a glance."""
    named = [(f"{row.measure} {row.metric}", row) for row in rows]
    wide = max((len(name) for name, _ in named), default=0)
    return [f"{name:<{wide}}  {_number(row):<24}  {_counts(row)}" for name, row in named]


def _number(row: Measurement) -> str:
    if row.value is None:
        return "undefined"
    scale, unit = (1, "") if row.metric == "length_correlation" or row.value > 1 else (100, " %")
    digits = 2 if scale == 1 else 1
    bounds = "no interval"
    if row.low is not None and row.high is not None:
        bounds = f"[{row.low * scale:.{digits}f}, {row.high * scale:.{digits}f}]"
    return f"{row.value * scale:.{digits}f}{unit} {bounds}".replace("-", "−")


def _counts(row: Measurement) -> str:
    return f"n {row.n:,}" + (f", {row.unscored:,} unscored" if row.unscored else "")


def _explained(reasons: Mapping[str, Mapping[str, int]]) -> list[str]:
    lines = []
    for name, counted in reasons.items():
        for reason, count in counted.items():
            lines.append(f"{name}: {count:,} unscored: {reason}")
    return lines


def _counted(reasons: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason in filter(None, reasons):
        found[reason] = found.get(reason, 0) + 1
    return found


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
    return Path(name).name if is_folder else name, {"model": place}, {}, {}


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


def _as_prompts(inputs: Mapping[str, Path], out: Path) -> dict[str, Path]:
    """Files of prompts, whatever their shape, as Prompt rows."""
    made: dict[str, Path] = {}
    for name in PROMPTS:
        given = inputs.get(f"{FILE}{name}")
        if given is not None:
            place = out / PREPARED / name
            place.parent.mkdir(exist_ok=True)
            write_rows(place, read_pool(given).prompts)
            made[f"{FILE}{name}"] = place
    return made
