"""The journal on real files: claims, answers, accounts, and who is alive."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from veneer.errors import InputError
from veneer.models.api.budget import Budget
from veneer.models.api.entries import BatchJob, Intent, Usage, request_key, shared_key
from veneer.models.api.journal import FAILED_RUNS, Journal, default_journal
from veneer.models.asking import Reply

WORST = Usage(100, 50, 0.5)


def intent(*keys, collection="c"):
    return Intent(keys, tuple(range(len(keys))), collection, WORST)


def claimed(journal, *intents, **options):
    return [claim.state for claim in journal.claim(intents, **options).result()]


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "j.sqlite") as opened:
        yield opened


def asked(**changes):
    wanted = {
        "base_url": "http://host/v1",
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "temperature": 0.0,
        "max_tokens": 10,
        "seed": None,
        "logprobs": False,
        "sample": 0,
    }
    return request_key(**(wanted | changes))


def test_a_key_names_all_that_decides_an_answer_and_nothing_else():
    changes = [
        {"base_url": "http://other/v1"},
        {"model": "n"},
        {"messages": [{"role": "system", "content": "q"}]},
        {"temperature": None},
        {"temperature": 1},
        {"top_p": 0.9},
        {"max_tokens": 11},
        {"seed": 0},
        {"logprobs": True},
        {"sample": 1},
    ]
    keys = {asked(), *(asked(**change) for change in changes)}
    assert len(keys) == 1 + len(changes)
    assert asked(temperature=0) == asked() == asked(base_url="http://host/v1/")
    before_there_was_top_p = "6012c6951c968585e15d400ff0dbdaa81b2128a96347d1e603ed0fbab5877abc"
    assert asked() == asked(top_p=None) == before_there_was_top_p
    assert shared_key(["a"]) == "a" != shared_key(["a", "b"]) != shared_key(["b", "a"])


def test_an_answer_outlives_its_process_and_is_found(tmp_path):
    reply = Reply("text", "truncated", "why", 3, 4, -0.25)
    with Journal(tmp_path / "j.sqlite") as journal:
        assert claimed(journal, intent("a")) == ["mine"]
        journal.settle(intent("a"), {"a": reply}, Usage(3, 4, 0.01)).result()
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.answers(["a", "b"]) == {"a": reply}
        assert claimed(journal, intent("a")) == ["found"]
        assert journal.spent("c").tokens == 7


def test_what_a_killed_process_had_sent_is_in_doubt_and_charged_once(journal):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from veneer.models.api.entries import Intent, Usage\n"
        "from veneer.models.api.journal import Journal\n"
        "j = Journal(Path(sys.argv[1]))\n"
        "j.claim([Intent(('a', 'b'), (0, 1), 'c', Usage(100, 50, 0.5))]).result()\n"
        "print('claimed', flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, journal.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "claimed\n"
    assert claimed(journal, intent("a", "b"), intent("b")) == ["held", "held"]
    os.kill(other.pid, signal.SIGKILL)
    other.communicate()
    (claim,) = journal.claim([intent("b")]).result()
    assert (claim.state, claim.samples) == ("regroup", (0, 1))
    assert claimed(journal, intent("a", "b")) == ["again"]
    spent = journal.spent("c")
    assert (spent.in_doubt, spent.usd, spent.tokens) == (1, 0.5, 150)


def test_a_budget_counts_what_is_spent_open_and_asked(journal):
    budget = Budget(usd=1.25)
    assert claimed(journal, intent("a"), intent("b"), intent("d"), budget=budget) == [
        "mine",
        "mine",
        "over",
    ]
    journal.settle(intent("a"), {"a": Reply("x")}, Usage(1, 1, 0.2)).result()
    assert claimed(journal, intent("d"), budget=budget) == ["mine"]
    assert claimed(journal, intent("e", collection="other"), budget=budget) == ["mine"]
    assert journal.doubt(intent("d"), budget=budget).result() is False
    assert claimed(journal, intent("f"), budget=Budget(tokens=601)) == ["over"]
    assert claimed(journal, intent("f"), budget=Budget(tokens=602)) == ["mine"]


def test_a_rejected_request_is_tried_in_a_few_runs_and_no_more(journal):
    for _ in range(FAILED_RUNS):
        assert journal.answers(["a"]) == {}
        assert claimed(journal, intent("a")) == ["mine"]
        journal.release(intent("a"), reason="too long", for_good=True).result()
    assert journal.answers(["a"])["a"].outcome == "failed"
    assert "too long" in journal.answers(["a"])["a"].reason


def test_what_waits_in_a_batch_job_is_nobody_elses(tmp_path):
    job = BatchJob("n", "u", "m", "c", {"r": ("a", "b")}, note={"file": "f"})
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.keep_batch(job).result()
        assert claimed(journal, intent("a", "b"), batch="n") == ["mine"]
    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.batches(base_url="u") == [job]
        assert journal.intents(batch="n") == [intent("a", "b")]
        assert claimed(journal, intent("a")) == ["batched"]
        journal.end_batch("n").result()
        assert claimed(journal, intent("a")) == ["mine"]
        assert journal.batches(base_url="u") == []


def test_files_that_are_no_journal_are_refused(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="another program"):
        Journal(foreign)
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        Journal(damaged)
    with pytest.raises(InputError, match="cannot be used"):
        Journal(damaged / "below" / "j.sqlite")
    newer = tmp_path / "newer.sqlite"
    Journal(newer).close()
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(InputError, match="another version"):
        Journal(newer)


def test_a_damaged_page_is_noticed(tmp_path):
    path = tmp_path / "j.sqlite"
    with Journal(path) as journal:
        for n in range(200):
            one = intent(f"k{n}")
            journal.claim([one])
            journal.settle(one, {f"k{n}": Reply("text " * 50)}, Usage())
    content = bytearray(path.read_bytes())
    content[4096 * 3 : -4096] = b"\xff" * len(content[4096 * 3 : -4096])
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be used"):
        Journal(path)


def test_one_journal_for_a_user(monkeypatch, tmp_path):
    monkeypatch.setenv("VENEER_JOURNAL", str(tmp_path / "mine"))
    assert default_journal() == tmp_path / "mine"
    monkeypatch.delenv("VENEER_JOURNAL")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_journal() == tmp_path / "veneer" / "journal.sqlite"
