"""The application: what all commands share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from veneer import __version__
from veneer.errors import VeneerError
from veneer.steps.space import disk_full, no_space

app = typer.Typer(
    name="veneer",
    help="Measure what imitating a stronger model really buys: how much of the style gap and of "
    "the capability gap was closed, side by side, with intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone would double the time of --help
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def main() -> None:
    """Run a command; a user's mistake ends in one message and exit code 2, without a traceback."""
    try:
        app(prog_name="veneer")
    except VeneerError as error:
        print(f"veneer: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if not disk_full(error):
            raise
        print(f"veneer: {no_space(error, Path())}", file=sys.stderr)
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"veneer {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def say(result: Any, as_json: bool) -> None:
    """Print a command's result: its text for people, or one JSON object."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        print(result if isinstance(result, str) else result["text"])
