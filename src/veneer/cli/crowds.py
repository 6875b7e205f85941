"""`veneer rate mturk` and `veneer rate prolific`: workers of a crowd on the same pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from veneer.cli.app import Json, say
from veneer.cli.raters import Hourly, Packet, Seconds, Store, rate

mturk = typer.Typer(
    name="mturk",
    help="Ask workers of Amazon Mechanical Turk: in its sandbox, unless --production.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
rate.add_typer(mturk)

Production = Annotated[
    bool, typer.Option("--production", help="Real workers and real money. [Amazon's sandbox]")
]
Endpoint = Annotated[
    str | None, typer.Option(metavar="URL", help="A stand-in on this machine, for trying.")
]
Reached = Annotated[
    str, typer.Option(metavar="URL", help="Where workers' browsers reach the server.")
]
Each = Annotated[
    int, typer.Option(min=1, help="Comparisons one worker does at a time, checks among them.")
]


@mturk.command(
    epilog="Example:  veneer rate mturk launch packets/p --store sqlite:///votes.db "
    "--public-url https://rating.example.org --budget-usd 20"
)
def launch(
    packet: Packet,
    store: Store,
    public_url: Reached,
    budget_usd: Annotated[
        float | None,
        typer.Option(help="The most that all HITs of this study may cost, fees included."),
    ] = None,
    pairs: Each = 10,
    assignments: Annotated[
        int | None, typer.Option(min=1, help="So many, instead of all that are missing.")
    ] = None,
    reserve: Annotated[
        float, typer.Option(min=0, max=1, help="Share more, for work begun and not finished.")
    ] = 0.1,
    seconds_per_pair: Seconds = None,
    hourly_usd: Hourly = 15.0,
    lifetime_hours: Annotated[
        float, typer.Option(min=0.01, help="How long workers find the HITs.")
    ] = 72.0,
    anyone: Annotated[
        bool, typer.Option("--anyone", help="No qualifications, to try the sandbox oneself.")
    ] = False,
    production: Production = False,
    endpoint_url: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Ask for the votes that are missing, within a hard budget; the same command tops up.

    Workers: 95 % approved, 100 HITs, English-speaking countries. Pay: the measured median time at
    $15 an hour.
    """
    _on_mturk(
        "launch", packet, store, as_json, production, endpoint_url,
        public_url=public_url, budget_usd=budget_usd, pairs_per_assignment=pairs,
        assignments=assignments, reserve=reserve, seconds_per_pair=seconds_per_pair,
        hourly_usd=hourly_usd, lifetime_hours=lifetime_hours, anyone=anyone,
    )  # fmt: skip


@mturk.command(epilog="Example:  veneer rate mturk approve packets/p --store sqlite:///votes.db")
def approve(
    packet: Packet,
    store: Store,
    reject_failing: Annotated[
        bool, typer.Option("--reject-failing", help="Reject who failed the attention checks.")
    ] = False,
    production: Production = False,
    endpoint_url: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Pay for finished assignments; reject those without work in them."""
    _on_mturk(
        "approve", packet, store, as_json, production, endpoint_url, reject_failing=reject_failing
    )


@mturk.command(epilog="Example:  veneer rate mturk expire packets/p --store sqlite:///votes.db")
def expire(
    packet: Packet,
    store: Store,
    production: Production = False,
    endpoint_url: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Take all open HITs off the market."""
    _on_mturk("expire", packet, store, as_json, production, endpoint_url)


@mturk.command(epilog="Example:  veneer rate mturk status packets/p --store sqlite:///votes.db")
def status(
    packet: Packet,
    store: Store,
    budget_usd: Annotated[float | None, typer.Option(help="Also say what of it is left.")] = None,
    production: Production = False,
    endpoint_url: Endpoint = None,
    as_json: Json = False,
) -> None:
    """HITs, assignments and money, as Amazon has them now."""
    _on_mturk("status", packet, store, as_json, production, endpoint_url, budget_usd=budget_usd)


@mturk.command(epilog="Example:  veneer rate mturk watch packets/p --store sqlite:///votes.db")
def watch(
    packet: Packet,
    store: Store,
    every_seconds: Annotated[
        float, typer.Option(min=1, help="Between two looks at Mechanical Turk.")
    ] = 60.0,
    production: Production = False,
    endpoint_url: Endpoint = None,
    as_json: Json = False,
) -> None:
    """Pay as work comes in, until the study is complete or paused and the HITs are ended."""
    _on_mturk(
        "watch", packet, store, as_json, production, endpoint_url,
        every_seconds=every_seconds, say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip


def _on_mturk(
    name: str, packet: Any, store: str, as_json: bool, production: bool, endpoint: str | None,
    **options: Any,
) -> None:  # fmt: skip
    from veneer.rating.serving import with_crowd

    means = {"production": production, "endpoint_url": endpoint}
    say(with_crowd(packet, store, f"mturk.{name}", **means, **options), as_json)


@rate.command(
    epilog="Example:  veneer rate prolific packets/p --store sqlite:///votes.db "
    "--public-url https://rating.example.org"
)
def prolific(
    packet: Packet,
    store: Store,
    public_url: Reached,
    pairs: Each = 20,
    seconds_per_pair: Seconds = None,
    hourly_usd: Hourly = 15.0,
    plan: Annotated[
        Literal["corporate", "academic"], typer.Option(help="Decides Prolific's fee.")
    ] = "corporate",
    reserve: Annotated[
        float, typer.Option(min=0, max=1, help="Share more, for submissions that are returned.")
    ] = 0.1,
    as_json: Json = False,
) -> None:
    """Open the study to participants of Prolific: prints what to paste there, and the cost."""
    from veneer.rating.serving import with_crowd

    say(
        with_crowd(
            packet, store, "prolific.open_entrance",
            public_url=public_url, pairs_per_submission=pairs, seconds_per_pair=seconds_per_pair,
            hourly_usd=hourly_usd, plan=plan, reserve=reserve,
        ),
        as_json,
    )  # fmt: skip
