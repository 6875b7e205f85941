"""`veneer rate`: a blinded study with people, from the packet to the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veneer.cli.app import Json, app, say

rate = typer.Typer(
    name="rate",
    help="Have people compare answers, blinded: one's own raters, a crowd, or both.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(rate)

Packet = Annotated[Path, typer.Argument(help="The folder that veneer rate pack made.")]
Store = Annotated[
    str,
    typer.Option(metavar="URL", help="Where votes are kept: sqlite:///FILE or postgresql://…"),
]
Public = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where raters reach the server. [http://127.0.0.1:8765]"),
]
Hourly = Annotated[float, typer.Option(min=0, help="What an hour of rating is paid, in USD.")]
Seconds = Annotated[
    float | None,
    typer.Option(min=1, help="What a pair takes, where it was not measured."),
]
Discard = Annotated[
    bool, typer.Option("--discard-votes", help="Their votes too; the pairs go to others.")
]
Agreement = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Between raters, as a share of variance. [a crowd's: 0.42]"),
]
Rater = Annotated[str, typer.Argument(help="A number as in r7, a label, or a crowd's worker id.")]


@rate.command(
    epilog="Example:  veneer rate pack runs/support-bot --out packets/support-bot    or    "
    "veneer rate pack student.jsonl teacher.jsonl --corpus corpus.jsonl --out packets/p"
)
def pack(
    run: Annotated[
        str, typer.Argument(metavar="RUN|[NAME=]A", help="A run, or a model's outputs.")
    ],
    other: Annotated[
        str | None, typer.Argument(metavar="[NAME=]B", help="Outputs that A's are compared with.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the packet.")] = None,
    models: Annotated[
        str, typer.Option(help="Of a run: whose answers; all, or names. [students of most data]")
    ] = "",
    against: Annotated[
        str | None, typer.Option(help="Of a run: whom they are compared with. [the teacher]")
    ] = None,
    of_seed: Annotated[int | None, typer.Option(help="Of a run: whose seed. [the first]")] = None,
    ratings: Annotated[int, typer.Option(min=1, help="Distinct raters a pair.")] = 3,
    gold: Annotated[
        float, typer.Option(min=0, max=0.5, help="Attention checks, as a share of what is shown.")
    ] = 0.1,
    prompts: Annotated[
        int | None, typer.Option(min=1, help="At most so many prompts, drawn by the seed. [all]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of sides, order and attention checks.")] = 0,
    title: Annotated[
        str, typer.Option(help="What raters read above the study; it must name no model.")
    ] = "Comparing answers",
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Imitation data that prompts must not repeat."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Texts of questions that outputs know by id only.")
    ] = None,
    bleu: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Prompts nearer to the imitation data go. [0.2; pocket: 1]"
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Prompts of another language go. [en; pocket: any]")
    ] = None,
    keep_coding: Annotated[
        bool, typer.Option("--keep-coding", help="Keep prompts about code.")
    ] = False,
    keep_self_naming: Annotated[
        bool,
        typer.Option("--keep-self-naming", help="Keep outputs that say which model wrote them."),
    ] = False,
    seconds_per_pair: Seconds = None,
    hourly_usd: Hourly = 15.0,
    agreement: Agreement = None,
    as_json: Json = False,
) -> None:
    """Make a packet: pairs of answers under opaque ids, sides drawn, attention checks among them.

    Prompts are filtered as in the paper's footnote 3. Says what the study will cost and what
    difference it can tell, before anything starts.
    """
    from veneer.rating.planning import packed

    say(
        packed(
            run,
            other,
            out,
            models=models,
            against=against,
            of_seed=of_seed,
            corpus=corpus or (),
            questions=questions,
            ratings=ratings,
            gold=gold,
            prompts=prompts,
            seed=seed,
            title=title,
            **_given(
                bleu=bleu,
                language=language,
                keep_coding=keep_coding or None,
                agreement=agreement,
            ),
            keep_self_naming=keep_self_naming,
            seconds=seconds_per_pair,
            hourly_usd=hourly_usd,
        ),
        as_json,
    )


def _given(**options: Any) -> dict[str, Any]:
    """Options that were given; "any" asks for no filter."""
    return {
        name: None if value == "any" else value
        for name, value in options.items()
        if value is not None
    }


@rate.command(epilog="Example:  veneer rate power --prompts 255 --ratings 3 --to 0.55")
def power(
    prompts: Annotated[int, typer.Option(min=1, help="Prompts at hand.")] = 255,
    ratings: Annotated[int, typer.Option(min=1, max=25, help="Distinct raters a prompt.")] = 3,
    to: Annotated[
        float, typer.Option(min=0, max=1, help="The win rate that is to be told from 0.5.")
    ] = 0.55,
    agreement: Agreement = None,
    gold: Annotated[float, typer.Option(min=0, max=0.5, help="Share of attention checks.")] = 0.1,
    seconds_per_pair: Seconds = None,
    hourly_usd: Hourly = 15.0,
    as_json: Json = False,
) -> None:
    """How many prompts and raters it takes to tell a win rate from one half, and what they cost."""
    from veneer.rating.planning import power_told

    seconds = seconds_per_pair or 60
    told = power_told(
        prompts, ratings, to, agreement=agreement, gold=gold, seconds=seconds, hourly_usd=hourly_usd
    )
    say(told, as_json)


@rate.command(epilog="Example:  veneer rate serve packets/p --store sqlite:///votes.db --invite 3")
def serve(
    packet: Packet,
    store: Store,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    public_url: Public = None,
    invite: Annotated[int, typer.Option(min=0, help="Print so many new invitation links.")] = 0,
    lease_minutes: Annotated[
        float, typer.Option(min=0.01, help="How long a pair waits for the rater who has it.")
    ] = 30.0,
    hourly_usd: Hourly = 15.0,
) -> None:
    """Serve the packet to raters until Ctrl-C; every vote is kept before it is confirmed.

    Prints the owner's link. The same command goes on where it stopped.
    """
    from veneer.rating.serving import serve_study

    serve_study(
        packet,
        store,
        host=host,
        port=port,
        public_url=public_url,
        invitations=invite,
        lease_seconds=60 * lease_minutes,
        hourly_usd=hourly_usd,
    )


@rate.command(epilog="Example:  veneer rate invite Ada Ben --store sqlite:///votes.db")
def invite(
    names: Annotated[
        list[str] | None, typer.Argument(help="What you call the raters; only you will see it.")
    ] = None,
    *,
    store: Store,
    count: Annotated[int, typer.Option(min=0, help="So many links without a name.")] = 0,
    again: Annotated[
        str | None,
        typer.Option(metavar="RATER", help="A new link for this rater; the old one ends."),
    ] = None,
    valid_days: Annotated[float, typer.Option(min=0.001, help="How long the links open.")] = 14.0,
    public_url: Public = None,
    as_json: Json = False,
) -> None:
    """Print invitation links, each for one person. They are shown once and never kept."""
    from veneer.rating.serving import invited

    say(
        invited(store, names or (), count, again, valid_days=valid_days, public_url=public_url),
        as_json,
    )


@rate.command(epilog="Example:  veneer rate status --store sqlite:///votes.db")
def status(store: Store, hourly_usd: Hourly = 15.0, as_json: Json = False) -> None:
    """How far the study is: votes, pace, agreement, each rater. Tells nothing about the models."""
    from veneer.rating.serving import study_state

    say(study_state(store, hourly_usd), as_json)


@rate.command(epilog="Example:  veneer rate pause --store sqlite:///votes.db")
def pause(store: Store, as_json: Json = False) -> None:
    """Hand out no more pairs until `veneer rate resume`; votes in hand wait."""
    from veneer.rating.serving import set_paused

    say(set_paused(store, True), as_json)


@rate.command(epilog="Example:  veneer rate resume --store sqlite:///votes.db")
def resume(store: Store, as_json: Json = False) -> None:
    """Hand out pairs again."""
    from veneer.rating.serving import set_paused

    say(set_paused(store, False), as_json)


@rate.command(epilog="Example:  veneer rate revoke r7 --discard-votes --store sqlite:///votes.db")
def revoke(
    rater: Rater, store: Store, discard_votes: Discard = False, as_json: Json = False
) -> None:
    """End a rater's access; what they have in hand goes to others."""
    from veneer.rating.serving import ended

    say(ended(store, rater, forget=False, discard_votes=discard_votes), as_json)


@rate.command(epilog="Example:  veneer rate forget r7 --store sqlite:///votes.db")
def forget(
    rater: Rater, store: Store, discard_votes: Discard = False, as_json: Json = False
) -> None:
    """Remove all that could say who a rater was: label, worker id's hash, links, written reasons.

    The votes stay under a number, unless they are discarded too.
    """
    from veneer.rating.serving import ended

    say(ended(store, rater, forget=True, discard_votes=discard_votes), as_json)


@rate.command(
    epilog="Example:  veneer rate results packets/p --store sqlite:///votes.db "
    "--run runs/support-bot    or    veneer rate results --recorded votes.jsonl"
)
def results(
    packet: Annotated[Path | None, typer.Argument(help="The packet; none for --recorded.")] = None,
    store: Annotated[
        list[str] | None, typer.Option(metavar="URL", help="Votes; may be given again.")
    ] = None,
    votes: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="More votes on this packet: a votes.jsonl from elsewhere."
        ),
    ] = None,
    recorded: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Votes of another study, as others recorded them."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Conclude this run anew with what raters preferred.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for votes, verdicts and sums. [the packet's name, below RUN/ratings]"
        ),
    ] = None,
    judge: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A judge's comparisons.jsonl on the same prompts. [the run's own]"
        ),
    ] = None,
    without_failing: Annotated[
        bool, typer.Option("--without-failing", help="Leave out raters who fail attention checks.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Count pairs that do not have all their ratings yet.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What raters preferred: majority, win rates, agreement, biases, people beside a judge."""
    from veneer.rating.results import results_of_study

    say(
        results_of_study(
            packet,
            stores=store or (),
            votes=votes or (),
            recorded=recorded or (),
            run=run,
            out=out,
            judge=judge or (),
            without_failing=without_failing,
            partial=partial,
        ),
        as_json,
    )
