"""A form sent twice does its work once: what it made is answered again for a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")

_KEPT_SECONDS = 60.0
_MOST_REMEMBERED = 10_000


class SentBefore(Exception):
    """This form was sent before, and what it made is not kept any more."""


class Once(Generic[Made]):
    """What forms made, by the random key that each form carries.

    In memory and in this process alone: links are never kept readable, and a second process has
    forms of its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, asyncio.Task[Made]]] = {}
        self._gone: dict[str, None] = {}

    async def made(self, key: str, make: Callable[[], Awaitable[Made]]) -> Made:
        """What the form with this key makes; a second call with it waits for the first.

        A `make` that fails is forgotten, so that the form can be sent again. A request that is
        given up does not stop it.

        Raises:
            SentBefore: the form was sent more than a minute ago.
        """
        self._forget_old()
        if key in self._gone:
            raise SentBefore
        if key not in self._kept:
            self._kept[key] = (self._clock(), asyncio.ensure_future(_awaited(make)))
        task = self._kept[key][1]
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._kept.get(key, (0.0, None))[1] is task:
                del self._kept[key]
            raise

    def knows(self, key: str) -> bool:
        """Whether the form with this key was sent before."""
        return key in self._kept or key in self._gone

    def _forget_old(self) -> None:
        now = self._clock()
        for key, (at, task) in list(self._kept.items()):
            if task.done() and now - at > _KEPT_SECONDS:
                del self._kept[key]
                self._gone[key] = None
        while len(self._gone) > _MOST_REMEMBERED:
            del self._gone[next(iter(self._gone))]


async def _awaited(make: Callable[[], Awaitable[Made]]) -> Made:
    return await make()
