"""What a person sees while a study runs: on a terminal a live view, in a pipe nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from veneer.steps import Event


def duration(seconds: float) -> str:
    """Seconds in words that are read at a glance."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return (
        f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    )


@contextlib.contextmanager
def shown(console: Console, title: str) -> Iterator[Callable[[Event], None]]:
    """A live view on `console`: the steps that run, how far the whole is, the time left.

    Yields the function to give to `run_steps`; on a console that is no terminal it is silent.
    """
    if not console.is_terminal:
        yield lambda event: None
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(28),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as live:
        whole = live.add_task(title, total=1.0, note="")
        rows: dict[str, TaskID] = {}

        def watch(event: Event) -> None:
            left = "" if event.seconds_left is None else f", {duration(event.seconds_left)} left"
            fraction = event.steps_done / event.steps_total
            note = f"{event.steps_done}/{event.steps_total} steps{left}"
            live.update(whole, completed=fraction, note=note)
            if event.kind == "start":
                rows[event.step] = live.add_task(f"  {event.step}", total=1.0, note="")
            elif event.kind == "progress" and event.step in rows:
                live.update(rows[event.step], completed=event.fraction, note=event.note)
            elif event.kind in ("done", "failed") and event.step in rows:
                live.remove_task(rows.pop(event.step))
            if event.kind == "failed":
                live.console.print(f"[red]failed[/red] {event.step}: {event.note}")

        yield watch


@contextlib.contextmanager
def counted(console: Console, title: str) -> Iterator[Callable[..., None]]:
    """A bar for one long piece of work; on a console that is no terminal it is silent.

    Yields `progress(done, total, note="")`, to be called as often as one likes.
    """
    if not console.is_terminal:
        yield lambda done, total, note="": None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(28),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as live:
        row = live.add_task(title, total=None, note="")

        def progress(done: float, total: float, note: str = "") -> None:
            live.update(row, completed=round(done), total=round(total), note=note)

        yield progress
