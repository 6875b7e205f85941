"""Commands that make imitation data, each of use by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from veneer.cli.app import Json, app, say
from veneer.cli.endpoint import (
    BaseUrl,
    Batch,
    BudgetTokens,
    Concurrency,
    Key,
    NoN,
    Prices,
    Rpm,
    Tpm,
    Usd,
    reached,
)
from veneer.errors import InputError

Teacher = Annotated[
    str, typer.Option(metavar="MODEL", help="Who answers: openai:NAME, or hf:PATH on this machine.")
]
Out = Annotated[Path, typer.Option(help="Folder for the results; the same command goes on in it.")]


@app.command(
    epilog="Example:  veneer collect prompts.jsonl --teacher openai:gpt-5-mini --budget-usd 5 "
    "--out runs/said"
)
def collect(
    prompts: Annotated[list[Path], typer.Argument(help="Prompts: JSONL, JSON, CSV, text, or .gz.")],
    teacher: Teacher,
    out: Out,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens an answer may have.")] = 512,
    seed: Annotated[int | None, typer.Option(help="Sent with the requests. [not sent]")] = None,
    base_url: BaseUrl = None,
    key: Key = "OPENAI_API_KEY",
    budget_usd: Usd = None,
    budget_tokens: BudgetTokens = None,
    prices: Prices = None,
    concurrency: Concurrency = 64,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    batch: Batch = False,
    no_n: NoN = False,
    logprobs: Annotated[
        bool, typer.Option("--logprobs", help="Keep each answer's mean log-probability.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask a teacher every prompt of some files; nothing is paid for twice.

    Writes answers.jsonl, a row for every prompt whatever came of it, and collection.json. What a
    killed run had paid for is not asked again, here or in any other folder: answers are kept in
    $VENEER_JOURNAL (~/.local/share/veneer/journal.sqlite).
    """
    from veneer import preparing

    means = reached(
        key,
        budget_usd,
        budget_tokens,
        prices,
        concurrency,
        requests_per_minute,
        tokens_per_minute,
        no_n=no_n,
        batch=batch,
    )
    result = preparing.collect(
        prompts,
        teacher,
        out,
        base_url=base_url,
        means=means,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        logprobs=logprobs,
    )
    _said(result, as_json)


@app.command(
    epilog="Example:  veneer synthesize --seeds seeds.jsonl --count 6000 "
    "--teacher openai:gpt-5-mini --out runs/nq-synthetic"
)
def synthesize(
    teacher: Teacher,
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Unique pairs wanted.")],
    seeds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Seed pairs. [the template's own]")
    ] = None,
    template: Annotated[
        str, typer.Option(help="nq, cypher, generic, or a YAML file of your own.")
    ] = "nq",
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Fills a place of the template, e.g. schema=@FILE."),
    ] = None,
    self_instruct: Annotated[
        bool,
        typer.Option("--self-instruct", help="New instructions from human tasks, 6 + 2 shots."),
    ] = False,
    alpaca: Annotated[
        bool, typer.Option("--alpaca", help="The same with Alpaca's three shots a request.")
    ] = False,
    requests: Annotated[
        int | None, typer.Option(min=1, help="Requests at most. [as many as pairs are wanted]")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="[as published: 1.0; with --self-instruct 0.7]"),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens a reply may have.")] = 1024,
    seed: Annotated[int, typer.Option(help="Draws the examples that each request shows.")] = 0,
    base_url: BaseUrl = None,
    key: Key = "OPENAI_API_KEY",
    budget_usd: Usd = None,
    budget_tokens: BudgetTokens = None,
    prices: Prices = None,
    concurrency: Concurrency = 64,
    requests_per_minute: Rpm = None,
    tokens_per_minute: Tpm = None,
    batch: Batch = False,
    as_json: Json = False,
) -> None:
    """Have a teacher write task data that resembles a few seeds, as in the paper's Section 3.

    Writes pairs.jsonl (imitation data), dropped.jsonl (what was no new pair, and why) and
    counts.json. With --self-instruct the seeds are tasks, and new instructions come out.
    """
    from veneer import preparing

    means = reached(
        key,
        budget_usd,
        budget_tokens,
        prices,
        concurrency,
        requests_per_minute,
        tokens_per_minute,
        batch=batch,
    )
    result = preparing.synthesize(
        seeds,
        teacher,
        out,
        base_url=base_url,
        means=means,
        count=count,
        template=template,
        values=_values(value or []),
        variant="alpaca" if alpaca else "self-instruct" if self_instruct else None,
        requests=requests,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
    )
    _said(result, as_json)


@app.command(
    epilog="Example:  veneer curate sharegpt.json hc3.jsonl --language en --against eval.jsonl "
    "--out runs/corpus"
)
def curate(
    files: Annotated[
        list[str],
        typer.Argument(help="Imitation data in any known format, result folders, or hub:ORG/NAME."),
    ],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="EVAL", help="Evaluation text to keep apart; may be given again."),
    ] = None,
    bleu: Annotated[
        float, typer.Option(min=0, max=1, help="Too near the evaluation above this BLEU.")
    ] = 0.20,
    remove: Annotated[
        Literal["corpus", "evaluation"],
        typer.Option(help="Which side loses what is too near; in the paper the evaluation."),
    ] = "corpus",
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Keep dialogues in this language, e.g. en.")
    ] = None,
    dedup: Annotated[
        Literal["query", "pair", "none"], typer.Option(help="What may stand once only.")
    ] = "query",
    sameness: Annotated[
        Literal["exact", "folded"],
        typer.Option(help="Equal to the letter, or up to case, width and spacing."),
    ] = "exact",
    near_duplicates: Annotated[
        float | None,
        typer.Option(metavar="JACCARD", help="Also drop queries this similar to an earlier one."),
    ] = None,
    identity: Annotated[
        bool, typer.Option("--identity", help="Drop answers in which a model names its maker.")
    ] = False,
    refusals: Annotated[
        bool, typer.Option("--refusals", help="Drop answers that begin as refusals do.")
    ] = False,
    keyword: Annotated[
        list[str] | None, typer.Option(help="Drop dialogues with this word; may be given again.")
    ] = None,
    split: Annotated[
        int | None, typer.Option(min=1, metavar="WORDS", help="Split longer conversations.")
    ] = None,
    category_judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Sort queries by a model, not by rules: openai:NAME."),
    ] = None,
    base_url: BaseUrl = None,
    key: Key = "OPENAI_API_KEY",
    budget_usd: Usd = None,
    teacher: Annotated[
        str, typer.Option(help="Who wrote the answers, where records do not say.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Terms of the data, where records do not say.")] = "",
    terms: Annotated[
        Path | None, typer.Option(metavar="YAML", help="Your table of terms, before ours.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Count tokens with this tokenizer.")
    ] = None,
    backend: Annotated[
        Literal["local", "ray"], typer.Option(help="Where the work is done; results are equal.")
    ] = "local",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. [all cores]")] = None,
    as_json: Json = False,
) -> None:
    """Turn files of dialogues into a corpus, and account for every record.

    Writes corpus.jsonl, dropped.jsonl (every record that is not in it, with a reason), stats.json
    and card.md, a data set card with diversity, categories and the terms of every source.
    """
    from veneer import preparing
    from veneer.models.opening import Means

    options = {
        "decontaminate": {"bleu": bleu, "remove": remove},
        "language": language,
        "dedup": dedup,
        "sameness": sameness,
        "near_duplicates": near_duplicates,
        "identity": identity,
        "refusals": refusals,
        "keywords": keyword or [],
        "split": split,
        "teacher": teacher,
        "licence": licence,
    }
    result = preparing.curate(
        [Path(file) for file in files],
        out,
        against=against or (),
        options=options,
        backend=backend,
        workers=workers,
        terms=terms,
        tokenizer=tokenizer,
        category_judge=category_judge,
        base_url=base_url,
        means=Means(key=key, usd=budget_usd),
    )
    say(result, as_json)


@app.command(epilog="Example:  veneer nearest eval.jsonl --against corpus.jsonl --out near.jsonl")
def nearest(
    queries: Annotated[Path, typer.Argument(help="Queries in any known format.")],
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="References. [the file's other queries]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="JSONL with each query's BLEU and its nearest.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=2, help="Only so many queries, chosen by SHA-1.")
    ] = None,
    above: Annotated[float, typer.Option(min=0, max=100, help="BLEU for the share above.")] = 20.0,
    as_json: Json = False,
) -> None:
    """Find each query's most similar other query by exact sentence BLEU (0 to 100).

    The mean over a set of queries is the paper's figure of diversity; against a corpus, what is
    above 20 is contaminated. Scores equal sacrebleu's.
    """
    from veneer import preparing

    say(preparing.nearest(queries, against, out, sample=sample, threshold=above), as_json)


def _values(given: list[str]) -> dict[str, str]:
    """NAME=TEXT or NAME=@FILE as a mapping."""
    values = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise InputError(f"{each!r} gives no value.", "Write it as NAME=TEXT or NAME=@FILE.")
        if text.startswith("@"):
            path = Path(text[1:])
            if not path.is_file():
                raise InputError(f"{path} does not exist.", f"Check the path in {each!r}.")
            text = path.read_text("utf-8")
        values[name] = text
    return values


def _said(result: dict[str, object], as_json: bool) -> None:
    """Print a result; one that a budget ended early exits with 1."""
    say(result, as_json)
    if not result.get("complete", True):
        raise typer.Exit(1)
