"""Small functions to write: the code pages of the corpus and the HumanEval-like problems.

A problem names one or two operations in words; its solution is one `return` line that
combines their snippets. What must be learned is which phrase means which snippet. Some
combinations never occur in the corpus: those are the problems.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

# (phrase, snippet): `{x}` is the expression that the operation is applied to.
_VIEWS = (
    ("the list", "{x}"),
    ("the reversed list", "{x}[::-1]"),
    ("the sorted list", "sorted({x})"),
    ("the list without its first item", "{x}[1:]"),
    ("the list without its last item", "{x}[:-1]"),
    ("the unique items", "set({x})"),
    ("the squares", "[x * x for x in {x}]"),
    ("the doubled items", "[x + x for x in {x}]"),
    ("the negated items", "[-x for x in {x}]"),
    ("the even items", "[x for x in {x} if x % 2 == 0]"),
    ("the odd items", "[x for x in {x} if x % 2 == 1]"),
    ("the positive items", "[x for x in {x} if x > 0]"),
    ("the absolute values", "[abs(x) for x in {x}]"),
    ("every second item", "{x}[::2]"),
)
_REDUCERS = (
    ("the sum of", "sum({x})"),
    ("the number of entries in", "len({x})"),
    ("the largest of", "max({x}, default=0)"),
    ("the smallest of", "min({x}, default=0)"),
    ("a copy as a list of", "list({x})"),
    ("the ascending order of", "sorted({x})"),
    ("the descending order of", "sorted({x}, reverse=True)"),
    ("whether there is anything in", "bool({x})"),
    ("a tuple of", "tuple({x})"),
    ("the truth of all of", "all({x})"),
    ("the truth of any of", "any({x})"),
    ("the text form of", "str({x})"),
)
NAME = "solve"
"""Every function's name: models this small learn to copy a name late, and in jumps, if at all,
and the benchmark would measure that instead of what the function does."""

_INPUTS: tuple[list[int], ...] = (
    [3, -1, 2],
    [],
    [5, 5, 0, -7, 2, 4],
    [0],
    [-4, 9, 9, 1, -4],
    [8, 6, -2, 3, 7, 1, 1],
    [1, 2, 3, 4],
    [0, 0],
    [-3, -6, -5],
)


@dataclass(frozen=True)
class Problem:
    """A function to write: its signature with docstring, its body, and how it is checked."""

    outer: int
    inner: int
    entry_point: str = NAME

    @property
    def phrase(self) -> str:
        """What the function returns, in words."""
        return f"{_REDUCERS[self.outer][0]} {_VIEWS[self.inner][0]}"

    @property
    def signature(self) -> str:
        """The function's first line."""
        return f"def {self.entry_point}(xs):\n"

    @property
    def prompt(self) -> str:
        """Signature and docstring, up to where the body begins."""
        return f'{self.signature}    """Return {self.phrase}."""\n'

    @property
    def solution(self) -> str:
        """The body, indented by four spaces."""
        inner = _VIEWS[self.inner][1].replace("{x}", "xs")
        return f"    return {_REDUCERS[self.outer][1].replace('{x}', inner)}\n"

    @property
    def test(self) -> str:
        """HumanEval's `check(candidate)`, over inputs on which every two problems differ."""
        lines = ["def check(candidate):"]
        for given in _INPUTS:
            expected = self.evaluate(given)
            lines.append(f"    assert candidate({given!r}) == {expected!r}")
            lines.append(f"    assert type(candidate({given!r})) is {type(expected).__name__}")
        return "\n".join(lines) + "\n"

    def evaluate(self, xs: list[int]) -> Any:
        """What the canonical solution returns for `xs`."""
        body = self.solution.removeprefix("    return ")
        return eval(body, {}, {"xs": xs})  # our own expression, from the tables above

    def humaneval(self, number: int) -> dict[str, str]:
        """The problem as a row of the published HumanEval format."""
        return {
            "task_id": f"PocketEval/{number}",
            "prompt": self.prompt,
            "entry_point": self.entry_point,
            "canonical_solution": self.solution,
            "test": self.test,
        }


def combinations(rng: random.Random, held_out: float = 0.3) -> tuple[list[Problem], list[Problem]]:
    """(problems that the corpus may show, problems that it never shows).

    Every operation occurs among the shown ones; two problems that no input tells apart are
    one behaviour, so a held-out problem never has a shown twin.
    """
    by_behaviour: dict[str, list[tuple[int, int]]] = {}
    for outer in range(len(_REDUCERS)):
        for inner in range(len(_VIEWS)):
            try:
                key = repr([Problem(outer, inner, "f").evaluate(xs) for xs in _INPUTS])
            except TypeError:
                continue
            by_behaviour.setdefault(key, []).append((outer, inner))
    pairs = [members[0] for members in by_behaviour.values()]
    rng.shuffle(pairs)
    shown: list[Problem] = []
    held: list[Problem] = []
    left_outer = {o: sum(p[0] == o for p in pairs) for o in range(len(_REDUCERS))}
    left_inner = {i: sum(p[1] == i for p in pairs) for i in range(len(_VIEWS))}
    for outer, inner in pairs:
        problem = Problem(outer, inner)
        spare = left_outer[outer] > 4 and left_inner[inner] > 4
        if spare and len(held) < held_out * len(pairs):
            held.append(problem)
            left_outer[outer] -= 1
            left_inner[inner] -= 1
        else:
            shown.append(problem)
    return shown, held


def code_page(rng: random.Random, shown: list[Problem]) -> str:
    """A file of two to four functions, as the corpus holds them."""
    functions = []
    for _ in range(rng.randint(2, 4)):
        problem = rng.choice(shown)
        functions.append(problem.prompt + problem.solution)
    return "\n\n".join(functions)
