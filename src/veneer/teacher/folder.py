"""The folder of a collection: whose it is, and files that appear whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.records import SCHEMA_VERSION, Record, write_rows
from veneer.steps.folder import PARTIAL, differences
from veneer.steps.space import whole


def claim(out: Path, about: str, settings: Mapping[str, Any], results: Sequence[str]) -> None:
    """Check that the folder is new, or was written with the same settings.

    Args:
        about: the file that says what the folder is, written by `publish_facts`.
        results: names that must not be there without it.

    Raises:
        InputError: names what differs.
    """
    path = out / about
    if path.exists():
        try:
            found = json.loads(path.read_text("utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} was not written by this command.", "Choose another folder with --out."
            ) from error
        differing = differences(found, json.loads(json.dumps(dict(settings))))
        if differing:
            raise InputError(
                f"{out} was made with other settings. They differ in:\n  "
                + "\n  ".join(differing[:8]),
                "Choose another folder with --out, or the settings of before.",
            )
        return
    for name in results:
        if (out / name).exists():
            raise InputError(
                f"{out} holds {name}, but no {about} that says how it was made.",
                "Choose a new or empty folder with --out.",
            )


def publish_rows(path: Path, rows: Iterable[Record]) -> int:
    """Write rows so that the file appears whole; returns how many."""
    with whole(path, path.with_name(f"{PARTIAL}{path.name}")) as scratch:
        return write_rows(scratch, rows)


def publish_facts(path: Path, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write what a folder holds: its settings, then its facts."""
    content = {"schema_version": SCHEMA_VERSION, "settings": dict(settings), **facts}
    publish_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def publish_text(path: Path, text: str) -> None:
    """Write a text so that the file appears whole."""
    with whole(path, path.with_name(f"{PARTIAL}{path.name}")) as scratch:
        scratch.write_text(text, "utf-8")


def spending(model: Any) -> dict[str, Any]:
    """What a model says it took: in this run and, where it keeps accounts, in all runs.

    Empty for a model that costs nothing.
    """
    found: dict[str, Any] = {}
    for name, key in (("report", "this_run"), ("spent", "all_runs")):
        ask = getattr(model, name, None)
        if callable(ask):
            told = ask()
            found[key] = asdict(told) if is_dataclass(told) else dict(told)  # type: ignore[arg-type]
    return found


def spent_in_words(found: Mapping[str, Any]) -> list[str]:
    """A line on what was spent, where a model says so."""
    total = found.get("all_runs") or found.get("this_run") or {}
    usd, run = total.get("usd"), found.get("this_run") or {}
    if not total:
        return []
    tokens = sum(int(total.get(f"{kind}_tokens") or 0) for kind in ("prompt", "completion"))
    cost = "a price is not known" if usd is None or run.get("unpriced") else f"{usd:.4f} USD"
    line = f"Spent so far: {cost}, {tokens:,} tokens"
    if run.get("from_journal"):
        line += f"; {counted(run['from_journal'], 'answer')} had been paid for before"
    return [f"{line}."]


def stopped(model: Any) -> str:
    """Why a model stopped asking, in words."""
    return (str(getattr(model, "stopped", "") or "") or "the budget ended").rstrip(".")


def how_to_go_on(out: Path) -> str:
    """The last sentence of a run that a budget ended."""
    return (
        "To go on, type the same command with a larger budget (--budget-usd, --budget-tokens) and "
        f"--out {out}: what was answered is not paid for again."
    )


def counted(amount: int, one: str, many: str = "") -> str:
    """An amount with its noun: "1 answer", "1,200 answers"."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"
