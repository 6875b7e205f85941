import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from veneer.measure import humaneval, sandbox
from veneer.measure.sandbox import Program, Verdict, filters, run_programs

needs_sandbox = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())

TESTS = "assert f() == 1"
GOOD = "def f(): return 1"
WORKING = {
    "plain": GOOD,
    "prints and reads files of its own": "open('x', 'w').write('1')\nprint(open('x').read())\n"
    + GOOD,
    "catches exceptions": "def f():\n    try: 1 / 0\n    except ZeroDivisionError: return 1",
    "imports": "import collections, math, re, hashlib, typing, dataclasses, decimal\n" + GOOD,
    "recurses": "def g(n): return n and g(n - 1)\ndef f(): return g(980) + 1",
    "is no main program": GOOD + "\nif __name__ == '__main__': input()",
    "looks at itself": "import dataclasses, typing\n@dataclasses.dataclass\nclass P:\n"
    "    x: 'typing.ClassVar[int]' = 1\ndef f(): return typing.get_type_hints(P) and P().x",
    "threads": "import threading\ndef f():\n    got = []\n    t = threading.Thread(target=got.append, args=(1,))\n"
    "    t.start(); t.join()\n    return got[0]",
    "forks and waits": "import os\ndef f():\n    pid = os.fork()\n    if pid == 0: os._exit(1)\n"
    "    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
    "starts a program": "import subprocess\n"
    "def f(): return int(subprocess.run(['echo', '1'], capture_output=True).stdout)",
    "asyncio": "import asyncio\nasync def g(): return 1\ndef f(): return asyncio.run(g())",
    "a count": "import collections\ndef f(): return collections.Counter('a')['a']",
    "as long as its limits allow": "def f(): return len(bytearray(1 << 28)) >> 28",
}


def verdict(source, tests, given=""):
    return run_programs([Program(source, tests, "f", given)])[0]


@needs_sandbox
def test_ordinary_programs_pass_and_wrong_ones_say_why():
    found = run_programs([Program(p, TESTS, "f") for p in WORKING.values()])
    assert dict(zip(WORKING, found, strict=True)) == dict.fromkeys(WORKING, Verdict(True))
    wrong = run_programs(
        [Program(p, TESTS, "f") for p in ("def f(): return 2", "def f(:", "", "f = None")]
    )
    assert [v.reason for v in wrong] == ["AssertionError", "SyntaxError", "NameError", "NameError"]


@needs_sandbox
@pytest.mark.parametrize(
    ("returned", "test", "passes"),
    [
        ("collections.Counter('aab')", "assert f() == {'a': 2, 'b': 1}", True),
        ("collections.namedtuple('P', 'x')(1)", "assert f() == (1,)", True),
        ("{1: 2}.keys()", "assert f() == {1}", True),
        ("range(2)", "assert f() == [0, 1]", False),
        ("map(int, '12')", "assert f() == [1, 2]", False),
        ("map(int, '12')", "assert list(f()) == [1, 2]", True),
        ("float('nan')", "assert f() != f()", True),
        ("True", "assert f() is True", True),
        ("[1, 2]", "f().append(3)\nassert f() == [1, 2]", True),
    ],
)
def test_values_compare_as_in_one_process(returned, test, passes):
    source = f"import collections\ndef f(): return {returned}"
    space = {}
    exec(source, space)
    try:
        exec(test, space)
        here = True
    except AssertionError:
        here = False
    assert verdict(source, test).passed is here is passes


@needs_sandbox
def test_exceptions_reach_the_tests_as_their_builtin_types():
    source = (
        "class Mine(ValueError): pass\n"
        "def f(n):\n    if n == 0: raise Mine('zero')\n"
        "    if n == 1: return b'\\xff'.decode('utf-8')\n    if n == 2: open('/absent')\n    1 / 0"
    )
    expects = (
        "for n, kind in enumerate((ValueError, UnicodeDecodeError, FileNotFoundError, ZeroDivisionError)):\n"
        "    try: f(n)\n    except kind as error: said = error\n    else: assert False\n"
        "    assert type(said) is kind and (n or str(said) == 'zero')\n"
    )
    assert verdict(source, expects) == Verdict(True)
    assert verdict(source, "f(0)").reason == "Mine"
    # One that Python takes for the end of a loop would end the tests' loop, too.
    ends = "def f(n): raise StopIteration"
    assert verdict(ends, "assert all(map(f, [1, 2]))") == Verdict(False, "StopIteration")


@needs_sandbox
def test_the_benchmarks_own_code_is_trusted_and_apart_from_the_program():
    given = "import math\ndef double(x): return 2 * x\ndef f(x):\n    'The prompt itself.'\n"
    tests = "assert double(f(3)) == 8 and f(math.floor(1.5)) == 2"
    assert verdict("def double(x): return x\ndef f(x): return x + 1", tests, given) == Verdict(True)
    # A program cannot see the context, nor change the tests' copy of the arguments.
    assert verdict("def f(x): return double(x)", tests, given).reason == "NameError"
    changes = "def f(x):\n    x.append(1)\n    return len(x)"
    assert verdict(changes, "y = []\nassert f(y) == 1 and f(y) == 1 and y == []") == Verdict(True)


@needs_sandbox
@pytest.mark.parametrize(
    ("given", "tests", "reason"),
    [
        ("", "assert f(len) == 1", "the tests pass a builtin_function_or_method"),
        ("", "assert f( == 1", "the benchmark's own code does not run here: SyntaxError"),
        ("import absent", TESTS, "the benchmark's own code does not run here: ModuleNotFoundError"),
    ],
)
def test_the_benchmarks_faults_are_unscored(given, tests, reason):
    found = verdict("def f(*args): return 1", tests, given)
    assert found.passed is None
    assert found.reason.startswith(reason)


@needs_sandbox
def test_hashes_and_drawn_cases_are_the_same_every_time():
    source = "def f(): return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"
    tests = "import random\nname = 'E' + ''.join(f()) + str(random.random())\nraise type(name, (Exception,), {})"
    said = {verdict(source, tests).reason for _ in range(3)}
    assert len(said) == 1
    assert said.pop().startswith("E")


@needs_sandbox
def test_nothing_is_left_running():
    source = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nos._exit(0)"
    )
    assert verdict(source, TESTS) == Verdict(False, "ended before its tests were over")
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        left = [
            line
            for line in listed.stdout.splitlines()
            if "veneer.measure.sandbox import keeper" in line
        ]
        assert left == []


@needs_sandbox
def test_parallel_workers_keep_the_order():
    programs = [Program(f"def f(): return {n % 2}", TESTS, "f") for n in range(70)]
    heard = []
    found = run_programs(programs, workers=3, progress=lambda *so_far: heard.append(so_far))
    assert [v.passed for v in found] == [n % 2 == 1 for n in range(70)]
    assert heard == sorted(heard)
    assert heard[-1] == (70, 70)
    assert run_programs([]) == []


@pytest.fixture
def fresh():
    """Nothing remembered about this machine, before and after."""
    for known in (sandbox.unavailable, filters.missing, filters.everything_inside):
        known.cache_clear()
    yield
    for known in (sandbox.unavailable, filters.missing, filters.everything_inside):
        known.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_without_a_sandbox_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = run_programs([Program(f"open({str(tmp_path / 'x')!r}, 'w')", "", "f")] * 2)
    assert [v.passed for v in found] == [None, None]
    assert "apt-get install bubblewrap" in found[0].reason
    assert not (tmp_path / "x").exists()


@needs_sandbox
@pytest.mark.usefixtures("fresh")
def test_without_seccomp_nothing_runs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    found = run_programs([Program(GOOD, TESTS, "f")])
    assert found[0].passed is None
    assert "apt-get install libseccomp2" in found[0].reason


@needs_sandbox
@pytest.mark.usefixtures("fresh")
def test_a_filter_that_is_not_active_is_noticed(monkeypatch):
    """The keeper looks at its own status before it starts anything."""
    start = sandbox.walls.subprocess.run

    def without_filter(command, **options):
        at = command.index("--seccomp")
        return start(command[:at] + command[at + 2 :], **options)

    monkeypatch.setattr(sandbox.walls.subprocess, "run", without_filter)
    assert "no seccomp filter is active" in sandbox.unavailable()


@needs_sandbox
@pytest.mark.usefixtures("fresh")
def test_a_program_that_cannot_be_confined_does_not_run(monkeypatch):
    assert sandbox.unavailable() == ""
    monkeypatch.setattr(filters, "program_only", lambda: bytes(8))  # which the kernel refuses
    assert verdict(GOOD, TESTS) == Verdict(None, "the program could not be confined")


@needs_sandbox
@pytest.mark.usefixtures("fresh")
def test_a_sandbox_that_cannot_isolate_is_refused(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        fake = Path(folder) / "bwrap"
        fake.write_text(
            "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
        )
        for path in (fake, fake.parent):
            path.chmod(0o755)
        monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(fake))
        reason = sandbox.unavailable()
    assert "cannot isolate programs here (bwrap: No permissions to create new namespace)" in reason
    assert "user namespaces" in reason


@needs_sandbox
def test_humaneval_solutions_all_pass(data):
    with gzip.open(data / "benchmarks" / "HumanEval.jsonl.gz", "rt") as lines:
        problems = [json.loads(line) for line in lines]
    found = humaneval.judged(problems, [p["canonical_solution"] for p in problems])
    assert [v.passed for v in found] == [True] * 164
    fenced = [
        f"Sure:\n```python\n{p['prompt']}{p['canonical_solution']}```\nOverall, …" for p in problems
    ]
    found = humaneval.judged(problems[:40], fenced[:40])
    assert [v.passed for v in found] == [True] * 40
    empty = humaneval.judged(problems, ["    pass\n"] * 164)
    assert [v.passed for v in empty] == [False] * 164


@needs_sandbox
def test_upstream_smoke_samples(data):
    folder = data / "benchmarks"
    problem = json.loads((folder / "humaneval_example_problem.jsonl").read_text())
    samples = [
        json.loads(line)["completion"]
        for line in (folder / "humaneval_example_samples.jsonl").read_text().splitlines()
    ]
    found = humaneval.judged([problem] * len(samples), samples)
    assert sum(bool(v.passed) for v in found) == 3
    assert humaneval.pass_at_k(len(found), 3, 1) == 0.5
