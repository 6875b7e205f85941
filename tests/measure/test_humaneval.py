import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.measure.humaneval import code_of, cut, pass_at_k

PROBLEM = {
    "task_id": "T/0",
    "entry_point": "add",
    "prompt": 'import math\n\ndef add(a, b):\n    """Add two numbers."""\n',
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}


@given(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_counts_subsets_with_a_right_sample(case):
    n, c, k = case
    subsets = list(itertools.combinations(range(n), k))
    share = sum(any(i < c for i in subset) for subset in subsets) / len(subsets)
    assert pass_at_k(n, c, k) == pytest.approx(share)


def test_k_above_n_is_skipped():
    assert pass_at_k(3, 3, 4) is None


def passes(answer):
    space = {}
    exec(code_of(PROBLEM, answer) + "\n" + PROBLEM["test"] + "check(add)", space)
    return True


@pytest.mark.parametrize(
    "answer",
    [
        "    return a + b\n",
        "    return a + b\n\n\ndef other():\n    broken(",
        "    return a + b\n# next\nprint(",
        "```python\ndef add(a, b):\n    return a + b\n```",
        'Here you are:\n\n```python\nimport math\n\ndef add(a, b):\n    """Doc."""\n    return a + b\n```\n\nIt adds.',
        "```\ndef helper(a):\n    return a\n\ndef add(a, b):\n    return helper(a) + b\n```",
        "```sh\npip install x\n```\nthen\n```python\ndef add(a, b):\n    return int(math.fsum((a, b)))\n```",
        "def add(a, b):\n    return a + b\n",
        "```python\ndef add(a, b):\n    return a + b",  # cut off before the fence closed
        "```python\n    return a + b\n```",
        "```python3\ndef add(a, b):\n    return a + b\n```",
        "``` Python title=add.py\ndef add(a, b):\n    return a + b\n```",
        "~~~py\ndef add(a, b):\n    return a + b\n~~~",
        "````markdown\ndef add(a, b):\n    return a + b  # ```\n````",
        "1. Add:\n\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n2. Done.",
        "\t```python\n\tdef add(a, b):\n\t    return a + b\n\t```",
        "```python\nreturn a + b\n```",  # the body alone, without its indentation
        "```python\nc = a + b\nreturn c\n```\nThat is all.",
        "Draft:\n```python\ndef add(a, b):\n    return a - b\n```\nBetter:\n```python\ndef add(a, b):\n    return a + b\n```",
        "```text\nadd(1, 2) is 3\n```\n```python\n    return a + b\n```",
        "<think>Perhaps\n```python\ndef add(a, b):\n    return a - b\n```\n</think>\n```python\ndef add(a, b):\n    return a + b\n```",
        "<thinking>def add(a, b): no</thinking>def add(a, b):\n    return a + b\n",
        "I add them.\n```\ndef add(a, b): pass\n```\n</think>    return a + b\n",  # opened by the template
        "```python\r\ndef add(a, b):\r\n    return a + b\r\n```\r\n",
        "```python\nasync_result = 1\ndef  add(a, b):\n    return a + b\n```",
    ],
)
def test_code_is_found_in_what_models_say(answer):
    assert passes(answer)


@given(st.text(st.sampled_from(list("`~ \t\n>adefpyhink</()\r\x00é")), max_size=80) | st.text())
def test_whatever_is_said_amounts_to_some_program(answer):
    assert isinstance(code_of(PROBLEM, answer), str)


@pytest.mark.parametrize("answer", ["", "```", "```python", "<think>on and on", "~~~\n```\n~~~"])
def test_an_answer_without_code_is_an_incomplete_program(answer):
    assert code_of(PROBLEM, answer).startswith(PROBLEM["prompt"])


def test_a_prompt_with_helpers_stays_in_front_of_a_full_answer():
    problem = {**PROBLEM, "prompt": "def twice(a):\n    return 2 * a\n\n\n" + PROBLEM["prompt"]}
    space = {}
    exec(code_of(problem, "```python\ndef add(a, b):\n    return twice(a) // 2 + b\n```"), space)
    assert space["add"](1, 2) == 3


def test_stops_are_the_first_of_other_top_level_code():
    text = "    if a:\n        return 1\n    # inside\n    print(a)"
    assert cut(text) == text
    for stop in ("class X", "def f", "# note", "if x", "print(x)"):
        assert cut(f"{text}\n{stop}\nrest") == text
    assert math.isclose(pass_at_k(1, 1, 1), 1.0)


def test_a_recorded_completion_runs_as_it_is():
    answer = "    return _sum(a, b)\n\ndef _sum(a, b):\n    return a + b\n"
    assert "def _sum" not in code_of(PROBLEM, answer), "a model that goes on is cut at the stop"
    space = {}
    exec(code_of(PROBLEM, answer, stops=False) + "\n" + PROBLEM["test"] + "check(add)", space)
