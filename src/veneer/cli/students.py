"""The command that trains students."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veneer.cli.app import Json, app, say
from veneer.errors import InputError

Devices = Annotated[
    int | None, typer.Option(min=1, help="Devices of this machine that one training runs on. [1]")
]
Nodes = Annotated[
    int | None,
    typer.Option(min=1, help="Machines of one training; type the same on each of them. [1]"),
]
TensorParallel = Annotated[
    int | None, typer.Option(min=1, help="Devices that share each matrix; divides --devices. [1]")
]
Rendezvous = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where machines meet, with --nodes.")
]
RowsInPass = Annotated[
    int | None, typer.Option(min=1, help="Blocks read at a time. [as many as fit into memory]")
]

Recompute = Annotated[
    bool,
    typer.Option("--recompute", help="Compute activations twice: less memory, more time."),
]

KeepEvery = Annotated[
    float | None,
    typer.Option(min=0, metavar="SECONDS", help="How often a state is kept for a kill. [300]"),
]


@app.command(
    epilog="Example:  veneer train --base hf:Qwen/Qwen3-0.6B-Base --data runs/corpus "
    "--tokens 5M,20M,80M --set schedule=matched --out runs/students"
)
def train(
    base: Annotated[str, typer.Option(help="The base model: a folder, or hf:ORGANISATION/NAME.")],
    data: Annotated[Path, typer.Option(help="What veneer curate wrote: a folder or corpus.jsonl.")],
    tokens: Annotated[
        str, typer.Option(metavar="AMOUNTS", help="Data amounts, e.g. 20M,80M; one run for all.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the students; the same command goes on in it.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="paper, koala, vicuna, alpaca, or a YAML file of recipe keys. [paper]"),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be given again."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the order of the dialogues, and dropout.")] = 0,
    teacher: Annotated[
        str | None, typer.Option(help="Whom the corpus imitates; a folder where it is distilled.")
    ] = None,
    show_batch: Annotated[
        bool, typer.Option("--show-batch", help="Print the first batch with its mask, and stop.")
    ] = False,
    devices: Devices = None,
    nodes: Nodes = None,
    tensor_parallel: TensorParallel = None,
    rendezvous: Rendezvous = None,
    rows_in_pass: RowsInPass = None,
    recompute: Recompute = False,
    keep_every: KeepEvery = None,
    as_json: Json = False,
) -> None:
    """Train a base model on imitation data: one run, a student for every amount of data.

    Writes tokens-<amount>/ (a folder that any Hugging Face tool loads, with a model card),
    train.json and loss.jsonl. A killed run goes on from its last state: type the same again.
    """
    from veneer import training

    chosen = training.recipe_from(recipe, change or [])
    if show_batch:
        from rich.console import Console

        console = Console(soft_wrap=True, highlight=False, markup=False)
        for part in training.first_batch(base, data, chosen, seed, console.is_terminal):
            console.print(part)
        return
    if not tokens or out is None:
        missing = "--tokens" if not tokens else "--out"
        raise InputError(
            f"{missing} is missing.", "Type: veneer train … --tokens 20M,80M --out runs/students"
        )
    result = training.train_students(
        base,
        data,
        training.amounts(tokens),
        out,
        recipe=chosen,
        seed=seed,
        teacher=teacher,
        means={
            "devices": devices,
            "nodes": nodes,
            "tensor_parallel": tensor_parallel,
            "rendezvous": rendezvous,
            "rows": rows_in_pass,
            "recompute": recompute,
            "keep_every": keep_every,
        },
    )
    say(result, as_json)
