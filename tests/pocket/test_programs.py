"""HumanEval-like problems: solvable, told apart by their tests, and never shown beforehand."""

import itertools
import random

import pytest

from veneer.pocket.programs import code_page, combinations


def passes(row: dict, body: str) -> bool:
    """Our own canonical code, run plainly; what models write runs in the sandbox only."""
    space: dict = {}
    exec(row["prompt"] + body + "\n" + row["test"], space)
    try:
        space["check"](space[row["entry_point"]])
    except (AssertionError, TypeError):
        return False
    return True


@pytest.fixture(scope="module")
def split():
    return combinations(random.Random(5))


def test_canonical_solutions_pass_their_tests_and_only_theirs(split):
    shown, held = split
    rows = [p.humaneval(n) for n, p in enumerate([*shown, *held])]
    assert len(rows) > 90
    for mine, other in itertools.product(rows, rows):
        same = mine is other
        assert passes(mine, other["canonical_solution"]) == same, (mine, other)


def test_held_out_problems_are_not_in_the_corpus(split):
    shown, held = split
    rng = random.Random(0)
    text = "".join(code_page(rng, shown) for _ in range(3_000))
    assert len(held) >= 25
    for problem in held:
        assert f"Return {problem.phrase}." not in text
        assert problem.solution not in text
    assert all(f"Return {problem.phrase}." in text for problem in shown)


def test_every_operation_of_a_held_out_problem_is_shown_elsewhere(split):
    shown, held = split
    assert {p.outer for p in held} <= {p.outer for p in shown}
    assert {p.inner for p in held} <= {p.inner for p in shown}
