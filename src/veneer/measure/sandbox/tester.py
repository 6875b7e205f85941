"""The tests' own process: trusted code only, the program is a voice on a pipe.

The benchmark's context and its tests are executed here; calls of the function under test go out
as plain data and come back as plain data. One report goes to the keeper, behind the keeper's
marker; a channel that ends or speaks nonsense is reported at once, so that no `except:` in the
tests can take it for an exception of the program. Standard library only: runs inside the sandbox.
"""

from __future__ import annotations

import builtins
import json
import os
import random
import types
from collections.abc import Callable
from typing import Any

from veneer.measure.sandbox.plain import (
    EndedError,
    NotPlainError,
    decode,
    encode,
    receive,
    send,
)

ENDED = "ended before its tests were over"
NONSENSE = "said what nobody asked for"
LOOP_ENDS = (StopIteration, StopAsyncIteration, GeneratorExit)
TOO_MUCH = "returned more than its tests can hold"


class Tester:
    """One program's tests; `report` ends the process."""

    def __init__(self, inward: int, outward: int, tell: int, marker: str, limit: int) -> None:
        self.inward, self.outward, self.limit = inward, outward, limit
        self.tell, self.marker = tell, marker
        self.calls = 0

    def report(self, passed: bool | None, reason: str = "") -> None:
        """Say how it went, and end."""
        said = json.dumps({"marker": self.marker, "passed": passed, "reason": reason[:200]})
        os.write(self.tell, said.encode("ascii") + b"\n")
        os._exit(0)

    def run(self, given: str, tests: str, entry_point: str) -> None:
        """Execute context and tests, and report."""
        try:
            confined = receive(self.inward, self.limit) == ["confined"]
        except (EndedError, NotPlainError):
            confined = False
        if not confined:
            self.report(None, "the program could not be confined")
        random.seed(0)  # tests that draw their cases draw the same ones every time
        module = types.ModuleType("tests")
        try:
            context = compile(given, "<context>", "exec")
            checks = compile(tests, "<tests>", "exec")
            exec(context, module.__dict__)
        except BaseException as error:
            self.report(None, f"the benchmark's own code does not run here: {_name(error)}")
        try:
            send(self.outward, ["go"], self.limit)
            if self._hear(0) != ["ready"]:
                self.report(False, NONSENSE)
            module.__dict__[entry_point] = self._proxy(entry_point)
            exec(checks, module.__dict__)
        except BaseException as error:
            self.report(False, _name(error))
        self.report(True)

    def _proxy(self, entry_point: str) -> Callable[..., Any]:
        def proxy(*args: Any, **names: Any) -> Any:
            self.calls += 1
            try:
                message = ["call", self.calls, encode(args), encode(names)]
                send(self.outward, message, self.limit)
            except NotPlainError as odd:
                self.report(None, f"the tests pass {odd}")
            except BrokenPipeError:
                self.report(False, ENDED)
            return self._value()

        proxy.__name__ = entry_point
        return proxy

    def _value(self) -> Any:
        said = self._hear(self.calls)
        try:
            kind, number, value = said
            if kind == "odd" and number == self.calls and type(value) is str:
                self.report(False, f"returned {_shown(value)}")
            if kind == "value" and number == self.calls:
                return decode(value)
        except NotPlainError as odd:
            self.report(False, f"returned {odd}")
        except MemoryError:
            self.report(False, TOO_MUCH)
        except (TypeError, ValueError):
            pass
        self.report(False, NONSENSE)
        raise AssertionError

    def _hear(self, number: int) -> Any:
        """The program's next message; an exception that call `number` raised is raised here."""
        try:
            said = receive(self.inward, self.limit)
            if type(said) is not list or said[:2] != ["raised", number]:
                return said
            _, _, name, kinds, args = said
            error = _built(kinds, decode(args))
            error.name_in_program = _shown(name)  # type: ignore[attr-defined]
            if isinstance(error, LOOP_ENDS):  # the tests' own loop would end, quietly
                self.report(False, _name(error))
        except EndedError:
            self.report(False, ENDED)
        except NotPlainError as odd:
            self.report(False, f"returned {odd}")
        except MemoryError:
            self.report(False, TOO_MUCH)
        except (TypeError, ValueError):
            self.report(False, NONSENSE)
        raise error


def _built(kinds: list[str], args: tuple[Any, ...]) -> BaseException:
    """A builtin exception: the nearest of `kinds` that takes these arguments."""
    for name in kinds[:20]:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, BaseException):
            try:
                return kind(*args)
            except (TypeError, ValueError):
                continue
    return BaseException()


def _name(error: BaseException) -> str:
    return str(getattr(error, "name_in_program", type(error).__name__))


def _shown(text: str) -> str:
    if type(text) is not str:
        raise TypeError
    return "".join(c if c.isprintable() else "?" for c in text[:150])
