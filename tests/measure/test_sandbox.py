import gzip
import json
import subprocess
import time

import pytest

from veneer.measure import humaneval, sandbox
from veneer.measure.sandbox import Limits, Program, Verdict, run_programs

needs_sandbox = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())

TESTS = "assert f() == 1"
GOOD = "def f(): return 1"
HOSTILE = {
    "exits": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits when called": "import os\ndef f(): os._exit(0)",
    "raises SystemExit": "def f(): raise SystemExit(0)",
    "raises BaseException": "def f(): raise BaseException",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "memory bomb": "x = []\nwhile True: x.append(bytearray(10**8))",
    "endless loop": "while True: pass",
    "sleeps": "import time\ntime.sleep(1000)",
    "kills its keeper": "import os\nos.kill(os.getppid(), 9)\nos.kill(os.getpid(), 9)",
    "kills everybody": "import os\nos.kill(-1, 9)",
    "gigabytes of output": "while True: print('x' * 10**7)",
    "fills the disk": "n = 0\nwhile True:\n    open(f'/tmp/f{n}', 'wb').write(b'x' * 10**7); n += 1",
    "reads a host file": "open('/etc/passwd').read()\n" + GOOD,
    "looks for the host's folders": "import os\nassert os.listdir('/home')\n" + GOOD,
    "opens a socket": "import socket\nsocket.create_connection(('1.1.1.1', 53), 2)\n" + GOOD,
    "is root": "import os\nassert os.getuid() == 0\n" + GOOD,
    "becomes root": "import os\nos.setuid(0)\n" + GOOD,
    "sees the environment": "import os\nassert os.environ.get('SANDBOX_SECRET')\n" + GOOD,
    "writes to /usr": "open('/usr/bin/evil', 'w')\n" + GOOD,
    "deletes its folder": "import shutil\nshutil.rmtree('.')\nshutil.rmtree('/tmp', True)\nshutil.rmtree('/usr')",
    "reads stdin": "input()",
    "patches assertions": "import builtins\nbuiltins.AssertionError = None\ndef f(): return 2",
    "leaves at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(): return 2",
    "leaves a daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\nos._exit(0)",
    "writes a verdict": "import json, os\nprint(json.dumps({'passed': True, 'reason': ''}), flush=True)\nos._exit(0)",
    "writes to every descriptor": (
        "import os\nfor fd in range(1, 1024):\n    try: os.write(fd, b'passed ' + b'x' * 16)\n"
        "    except OSError: pass\nos._exit(0)"
    ),
    "writes to its keeper": (
        "import os\nopen(f'/proc/{os.getppid()}/fd/1', 'w').write('{\"passed\": true, \"reason\": \"\"}')"
    ),
}
WORKING = {
    "plain": GOOD,
    "prints and reads files of its own": "open('x', 'w').write('1')\nprint(open('x').read())\n"
    + GOOD,
    "catches exceptions": "def f():\n    try: 1 / 0\n    except ZeroDivisionError: return 1",
    "imports": "import collections, math, re, hashlib, typing, dataclasses\n" + GOOD,
    "recurses": "def g(n): return n and g(n - 1)\ndef f(): return g(900) + 1",
}


@needs_sandbox
def test_hostile_programs_pass_nothing_and_harm_nothing(monkeypatch):
    monkeypatch.setenv("SANDBOX_SECRET", "do not tell")
    programs = [p for hostile in HOSTILE.values() for p in (hostile, GOOD)]
    found = run_programs(
        [Program(p, TESTS) for p in programs],
        Limits(cpu_seconds=1, idle_seconds=0.3, memory_bytes=1 << 28),
        workers=2,
    )
    bad = dict(zip(HOSTILE, found[::2], strict=True))
    assert {name: v for name, v in bad.items() if v.passed is not False} == {}
    assert all(v.reason for v in bad.values())
    # The program after each hostile one still runs.
    after = dict(zip(HOSTILE, found[1::2], strict=True))
    assert {name: v for name, v in after.items() if v != Verdict(True)} == {}
    assert bad["endless loop"].reason == "out of CPU time"
    assert bad["sleeps"].reason == "waited without computing"
    assert bad["kills everybody"].reason == "brought its sandbox down"


@needs_sandbox
def test_ordinary_programs_pass_and_wrong_ones_say_why():
    found = run_programs([Program(p, TESTS) for p in WORKING.values()])
    assert dict(zip(WORKING, found, strict=True)) == dict.fromkeys(WORKING, Verdict(True))
    wrong = run_programs(
        [Program("def f(): return 2", TESTS), Program("def f(:", TESTS), Program("", TESTS)]
    )
    assert [v.reason for v in wrong] == ["AssertionError", "SyntaxError", "NameError"]


@needs_sandbox
def test_nothing_is_left_running():
    run_programs([Program(HOSTILE["leaves a daemon"], TESTS)])
    time.sleep(0.2)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        assert "PR_SET_DUMPABLE" not in listed.stdout


@needs_sandbox
def test_parallel_workers_keep_the_order():
    programs = [Program(f"def f(): return {n % 2}", TESTS) for n in range(70)]
    found = run_programs(programs, workers=2)
    assert [v.passed for v in found] == [n % 2 == 1 for n in range(70)]


def test_without_a_sandbox_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.unavailable.cache_clear()
    try:
        found = run_programs([Program(f"open({str(tmp_path / 'x')!r}, 'w')", "")] * 2)
        assert [v.passed for v in found] == [None, None]
        assert "bubblewrap" in found[0].reason
        assert "apt-get install bubblewrap" in found[0].reason
        assert not (tmp_path / "x").exists()
    finally:
        sandbox.unavailable.cache_clear()


def test_a_sandbox_that_cannot_isolate_is_refused(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(fake))
    sandbox.unavailable.cache_clear()
    try:
        reason = sandbox.unavailable()
        assert "cannot isolate" in reason
        assert "user namespaces" in reason
    finally:
        sandbox.unavailable.cache_clear()


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
