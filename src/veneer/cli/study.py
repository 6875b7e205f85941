"""Commands that run, judge and show whole studies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from veneer.cli.app import Json, app, say
from veneer.cli.endpoint import Batch, Concurrency, NoN, Prices, Rpm, Tpm
from veneer.cli.students import Devices, KeepEvery, Recompute, RowsInPass, TensorParallel


@app.command(epilog="Example:  veneer run pocket --out runs/pocket --seeds 3")
def run(
    study: Annotated[str, typer.Argument(help="A study file (YAML), or the built-in: pocket.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder; a second run goes on in it. [runs/NAME]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Run seeds 0 to N-1 instead of the study's own.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes side by side. [all cores for pocket, else 1]"),
    ] = None,
    backend: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where steps are done: here, or on the machines of a Ray cluster."),
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="A running cluster: auto, HOST:PORT, ray://HOST:PORT. [$RAY_ADDRESS, else a "
            "cluster of this machine alone]"
        ),
    ] = None,
    devices: Devices = None,
    tensor_parallel: TensorParallel = None,
    rows_in_pass: RowsInPass = None,
    recompute: Recompute = False,
    keep_every: KeepEvery = None,
    prices: Prices = None,
    concurrency: Concurrency = 64,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    batch: Batch = False,
    no_n: NoN = False,
    as_json: Json = False,
) -> None:
    """Run a whole study, or go on with one.

    Ends with findings and a report. A killed run goes on where it stopped: type the same again.
    """
    from veneer.running import run_study

    means = {
        "prices": prices,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "batch": batch,
        "no_n": no_n,
        "devices": devices,
        "tensor_parallel": tensor_parallel,
        "rows": rows_in_pass,
        "recompute": recompute,
        "keep_every": keep_every,
    }
    say(run_study(study, out, seeds, workers, means, backend, ray_address), as_json)


@app.command(
    epilog="Example:  veneer audit --teacher gpt.jsonl --student vicuna.jsonl --base llama.jsonl "
    "--preferences reviews.jsonl --out runs/audit"
)
def audit(
    out: Annotated[Path, typer.Option(help="Run folder for findings and report.")],
    teacher: Annotated[
        str | None, typer.Option(metavar="FILE", help="The teacher's outputs. [NAME=]FILE")
    ] = None,
    student: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A student's outputs; may be given again. [NAME=]FILE"),
    ] = None,
    base: Annotated[
        str | None, typer.Option(metavar="FILE", help="The base model's outputs. [NAME=]FILE")
    ] = None,
    teacher_again: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A second sample of the teacher: the ceiling of style."),
    ] = None,
    benchmarks: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=FILE", help="Benchmark results of teacher, base or student."),
    ] = None,
    preferences: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Recorded verdicts: AlpacaEval, Vicuna reviews."),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="Texts of the questions, where outputs know them by id only."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw the findings from files that already exist.

    Outputs of teacher, student and base, benchmark results, recorded preferences; no model is
    needed. With NAME=FILE, a file that says to belong to another model is refused.
    """
    from veneer.audit import audit as audited
    from veneer.running import result_of

    audited(
        out,
        teacher=teacher,
        students=student or (),
        base=base,
        teacher_again=teacher_again,
        benchmarks=benchmarks or (),
        preferences=preferences or (),
        questions=questions,
        command=" ".join(["veneer", *sys.argv[1:]]),
    )
    say(result_of(out), as_json)


@app.command(epilog="Example:  veneer status runs/pocket")
def status(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    as_json: Json = False,
) -> None:
    """Say which steps of a study are done."""
    from veneer.running import study_status

    say(study_status(run), as_json)


@app.command(epilog="Example:  veneer report runs/pocket")
def report(
    run: Annotated[Path, typer.Argument(help="A run folder with findings in it.")],
    as_json: Json = False,
) -> None:
    """Make the report of a run again."""
    from veneer.report import build

    page = str(build(run))
    say({"report": page, "text": f"Report: {page}"}, as_json)


@app.command(epilog="Example:  veneer schema > study.schema.json")
def schema() -> None:
    """Print the JSON schema of study files."""
    from veneer.spec import json_schema

    print(json.dumps(json_schema(), indent=1))
