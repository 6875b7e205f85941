"""Commands that measure models and compare their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from veneer.cli.app import Json, app, say
from veneer.cli.endpoint import (
    BaseUrl,
    BudgetTokens,
    Concurrency,
    Key,
    Prices,
    Rpm,
    Tpm,
    Usd,
    reached,
)
from veneer.errors import InputError


@app.command(
    epilog="Example:  veneer measure hf:runs/students/tokens-20M --measures nq,mmlu,humaneval "
    "--benchmark-data data/ --out runs/scores"
)
def measure(
    model: Annotated[
        str | None,
        typer.Argument(help="A model folder, hf:ORGANISATION/NAME, or openai:NAME."),
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recorded completions or predictions, in place of one."),
    ] = None,
    measures: Annotated[
        str,
        typer.Option(
            help="nq, nq-0shot, mmlu, humaneval, style, toxicity, or a task as in lm_eval:gsm8k."
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the scores; the same command goes on in it.")
    ] = None,
    benchmark_data: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="A folder with the usual names, or single files."),
    ] = None,
    teacher_answers: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What style is compared with, in any recorded shape."),
    ] = None,
    role: Annotated[
        Literal["student", "base", "teacher", "teacher-again"],
        typer.Option(help="What the model is, for measurements.jsonl."),
    ] = "student",
    teacher_again: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A second sample of the teacher, for --outputs."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Texts of questions that --outputs know by id only.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model, where --outputs do not say it.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Items of each benchmark, from the first. [all]")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Programs a HumanEval problem, for pass@k.")
    ] = 1,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Worked examples of lm_eval: tasks. [the task's own]")
    ] = None,
    tasks: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Tasks of lm-eval of your own.")
    ] = None,
    toxicity: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="scorer=classifier, form=continuations, …; docs."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of answers that are sampled.")] = 0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not use the model's chat template.")
    ] = False,
    chat_tasks: Annotated[
        bool, typer.Option("--chat-tasks", help="Ask lm_eval: tasks in the chat template too.")
    ] = False,
    engine: Annotated[
        Literal["veneer", "vllm"], typer.Option(help="What runs a model folder's benchmarks.")
    ] = "veneer",
    base_url: BaseUrl = None,
    key: Key = "OPENAI_API_KEY",
    budget_usd: Usd = None,
    budget_tokens: BudgetTokens = None,
    prices: Prices = None,
    concurrency: Concurrency = 64,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    as_json: Json = False,
) -> None:
    """Measure a model on benchmarks, style and toxicity, or score what it said elsewhere.

    Writes sheets.jsonl (a score an item, with the reason where there is none) and
    measurements.jsonl. A killed run goes on with the next measure: type the same again.
    """
    names = [name.strip() for name in measures.split(",") if name.strip()]
    if not names or out is None:
        raise InputError(
            f"{'--measures' if not names else '--out'} is missing.",
            "Type: veneer measure MODEL --measures nq --benchmark-data FOLDER --out runs/scores",
        )
    if (model is None) == (outputs is None):
        raise InputError(
            "Give a model, or --outputs FILE with what it said: one of the two.",
            "Type: veneer measure hf:FOLDER … or veneer measure --outputs FILE …",
        )
    from veneer import measuring

    if outputs is not None:
        from veneer.measuring_outputs import measure_outputs

        _refuse(
            {
                "--limit": limit,
                "--samples": samples > 1,
                "--shots": shots is not None,
                "--tasks": tasks,
                "--plain": plain,
                "--chat-tasks": chat_tasks,
                "--engine": engine != "veneer",
                "--base-url": base_url,
            },
            "for models that are asked; outputs that exist are only scored",
            "give a model in place of --outputs",
        )
        result = measure_outputs(
            outputs,
            names,
            out,
            benchmark_data=benchmark_data or (),
            teacher_answers=Path(teacher_answers) if teacher_answers else None,
            teacher_again=teacher_again,
            questions=questions,
            toxicity=measuring.toxicity_from(toxicity or []),
            name=name,
            role=role,
        )
        say(result, as_json)
        return
    assert model is not None
    _refuse(
        {"--teacher-again": teacher_again, "--questions": questions, "--name": name},
        "for outputs that exist",
        "give --outputs in place of a model",
    )
    means = reached(
        key, budget_usd, budget_tokens, prices, concurrency, requests_per_minute, tokens_per_minute
    )
    result = measuring.measure_model(
        model,
        names,
        out,
        benchmark_data=benchmark_data or (),
        teacher_answers=teacher_answers,
        role=role,
        base_url=base_url,
        means=means,
        tasks=tasks,
        engine=engine,
        settings={
            "limit": dict.fromkeys(names, limit) if limit else None,
            "seed": seed,
            "chat": False if plain else None,
            "toxicity": measuring.toxicity_from(toxicity or []),
            "benchmarks": {
                "samples": samples,
                "chat": chat_tasks,
                "shots": {} if shots is None else dict.fromkeys(names, shots),
            },
        },
    )
    say(result, as_json)


def _refuse(given: dict[str, object], why: str, instead: str) -> None:
    """Say that an option does not belong here, rather than to pass it over."""
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise InputError(f"{wrong[0]} is {why}.", f"Leave {wrong[0]} out, or {instead}.")


@app.command(
    epilog="Example:  veneer judge student.jsonl teacher.jsonl --judge openai:gpt-5.1 "
    "--out runs/verdicts    or    veneer judge --recorded annotations.json"
)
def judge(
    one: Annotated[
        str | None, typer.Argument(metavar="[NAME=]A", help="Outputs of the model to be rated.")
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="[NAME=]B", help="Outputs of whom it is compared with.")
    ] = None,
    judge: Annotated[
        str, typer.Option(metavar="MODEL", help="Who judges: openai:NAME, or hf:PATH.")
    ] = "",
    recorded: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Verdicts that exist; may be given again."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="The answers that recorded verdicts are about."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Whose rates, of recorded verdicts. [the second model]")
    ] = None,
    template: Annotated[
        Literal["pair-v2", "vicuna", "alpaca-eval"], typer.Option(help="The judge's prompt.")
    ] = "pair-v2",
    orders: Annotated[
        Literal["both", "drawn", "given"],
        typer.Option(help="Each pair in both orders, in one drawn by hash, or B before A."),
    ] = "both",
    retries: Annotated[
        int, typer.Option(min=0, help="Asked again where no verdict could be read.")
    ] = 2,
    tone: Annotated[
        bool, typer.Option("--tone", help="Also ask whether A's answers sound authoritative.")
    ] = False,
    questions: Annotated[
        Path | None, typer.Option(help="Texts of questions that outputs know by id only.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the verdicts; the same command goes on in it.")
    ] = None,
    base_url: BaseUrl = None,
    key: Key = "OPENAI_API_KEY",
    budget_usd: Usd = None,
    budget_tokens: BudgetTokens = None,
    prices: Prices = None,
    concurrency: Concurrency = 64,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    as_json: Json = False,
) -> None:
    """Have a judge compare two models' answers, or read verdicts that others recorded.

    Win rates with interval, ties at one half, unscored verdicts by reason, at equal lengths too,
    and whether position or length decides. No verdict is paid for twice.
    """
    from veneer import judging

    if recorded:
        _refuse(
            {"A": one, "--judge": judge, "--out": out, "--tone": tone, "--questions": questions},
            "for answers that are yet to be judged",
            "leave out --recorded",
        )
        say(judging.judge_recorded(recorded, outputs or (), model), as_json)
        return
    if one is None or other is None or not judge or out is None:
        raise InputError(
            "There is nothing to judge by: give A, B, --judge and --out, or --recorded FILE.",
            "Type: veneer judge A.jsonl B.jsonl --judge openai:MODEL --out runs/verdicts",
        )
    _refuse({"--outputs": outputs, "--model": model}, "for recorded verdicts", "give --recorded")
    settings = judging.settings_of(
        model=judge,
        template=template,
        orders=orders,
        retries=retries,
        tone=tone,
        base_url=base_url,
        key=key,
    )
    means = reached(
        key, budget_usd, budget_tokens, prices, concurrency, requests_per_minute, tokens_per_minute
    )
    result = judging.judge_outputs(one, other, settings, out, questions=questions, means=means)
    say(result, as_json)
