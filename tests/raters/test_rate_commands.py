"""`veneer rate` as it is typed: a study served, rated over HTTP, watched, summed up, forgotten."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from load_client import Rater, Tally, choice_of, rate
from packets import STUDENT, TEACHER, small_packet
from typer.testing import CliRunner

from veneer.cli import app
from veneer.errors import InputError
from veneer.raters.packet import KEY, PAIRS

STUDIED, CHECKS = 8, 2


def typed(*words, code=0):
    """What a command prints on stdout, as an object where --json was given."""
    done = CliRunner().invoke(app, ["rate", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if "--json" in words else done.stdout


class Serving:
    """`veneer rate serve` in a process of its own, on a free port."""

    def __init__(self, folder, store, *words):
        command = [sys.executable, "-m", "veneer", "rate", "serve", str(folder), "--store", store]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # a shell's background job passes on that SIGINT is ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.said = ""
        while "Ctrl-C" not in self.said:
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line
        self.links = re.findall(r"For a rater: +(\S+)", self.said)

    def end(self):
        """Ctrl-C; what it printed since, and its exit code."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out + err


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A packet whose three invited raters have rated it all: (packet's folder, store, names)."""
    here = tmp_path_factory.mktemp("rate")
    packet = small_packet(here / "packet", pairs=STUDIED, gold=CHECKS, outputs=_outputs)
    store = f"sqlite:///{here / 'votes.db'}"
    serving = Serving(here / "packet", store, "--invite", "2")
    address, _, _ = serving.links[0].partition("/i/")
    (third,) = typed(
        "invite", "Ada", "--store", store, "--public-url", address, "--json"
    )["links"]  # fmt: skip
    links = [*serving.links, third["link"]]
    tally = Tally()
    people = [
        Rater(f"r{n}", link.removeprefix(address), address, tally)
        for n, link in enumerate(links, 1)
    ]
    asyncio.run(rate(people))
    code, said = serving.end()
    assert (code, said) == (0, "")
    return packet, here / "packet", store


def _outputs(n):
    return f"The answer of {n} is short.", f"The answer of {n} is longer, and says a little more."


def test_served_rated_and_watched(study):
    packet, _, store = study
    told = typed("status", "--store", store, "--json")
    assert (told["votes"], told["wanted"], told["done"]) == (24, 24, STUDIED)
    assert [(one["rater"], one["votes"], one["label"]) for one in told["raters"]] == [
        ("r1", 8, ""), ("r2", 8, ""), ("r3", 8, "Ada"),
    ]  # fmt: skip
    right = sum(
        choice_of(f"r{n}", item) == gold for n in (1, 2, 3) for item, gold in packet.gold.items()
    )
    assert (told["gold_right"], told["gold_wrong"]) == (right, 3 * CHECKS - right)
    text = typed("status", "--store", store)
    assert "24 of 24 votes" in text
    for secret in (STUDENT, TEACHER, "sqlite"):
        assert secret not in text


def test_results_are_those_of_the_votes_sent(study, tmp_path):
    packet, folder, store = study
    told = typed("results", folder, "--store", store, "--out", tmp_path / "out", "--json")
    won = []
    for item, key in packet.keys.items():
        if key.gold is None:
            votes = [choice_of(f"r{n}", item) for n in (1, 2, 3)]
            most = next((c for c in (1, 2) if votes.count(c) > 1), 0)
            second = {0: 0.5, 1: 0.0, 2: 1.0}[most]
            won.append(second if key.second == STUDENT else 1 - second)
    (model,) = told["models"]
    assert (model["model"], model["against"], model["n"]) == (STUDENT, "teacher", STUDIED)
    assert model["win_rate"] == pytest.approx(sum(won) / STUDIED)
    assert told["votes"] == 24
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"votes.jsonl", "votes.csv", "comparisons.jsonl", "sheets.jsonl"} <= names
    again = typed("results", folder, "--votes", tmp_path / "out" / "votes.jsonl", "--json")
    assert again["models"] == told["models"]
    recorded = typed("results", "--recorded", tmp_path / "out" / "votes.jsonl", "--json")
    assert recorded["models"][0]["win_rate"] == model["win_rate"]
    assert "1-1-1" in typed("results", folder, "--store", store)


def test_people_are_renewed_revoked_and_forgotten(study):
    _, folder, store = study
    (link,) = typed("invite", "--again", "Ada", "--store", store, "--json")["links"]
    assert (link["rater"], link["link"].startswith("http://127.0.0.1:8765/i/")) == ("r3", True)
    assert "stay under that number" in typed("revoke", "r1", "--store", store)
    assert "forgotten" in typed("forget", "Ada", "--store", store)
    states = typed("status", "--store", store, "--json")["raters"]
    assert [(one["label"], one["link"], one["votes"]) for one in states] == [
        ("", "revoked", 8), ("", "used", 8), ("", "revoked", 8),
    ]  # fmt: skip
    with pytest.raises(InputError, match="No rater 'Ada'"):
        typed("forget", "Ada", "--store", store)
    typed("revoke", "r2", "--discard-votes", "--store", store)
    told = typed("results", folder, "--store", store, "--json")
    assert told["models"][0]["reasons"] == {"2 of 3 ratings": STUDIED}
    assert typed("results", folder, "--store", store, "--partial", "--json")["models"][0]["n"] == 8


def test_a_pause_is_said_and_ends(study):
    _, _, store = study
    assert typed("pause", "--store", store, "--json")["paused"]
    assert "; paused" in typed("status", "--store", store)
    assert "goes on" in typed("resume", "--store", store)
    assert not typed("status", "--store", store, "--json")["paused"]


def test_mistakes_are_told_and_change_nothing(study, tmp_path):
    _, folder, store = study
    nowhere = f"sqlite:///{tmp_path / 'none.db'}"
    for words, said in (
        (("invite", "Ben", "--store", nowhere), "holds no study yet"),
        (("status", "--store", nowhere), "holds no study yet"),
        (("results", folder, "--store", nowhere), "holds no study yet"),
        (("invite", "--store", store), "nobody to invite"),
        (("results", folder), "no votes to sum up"),
        (("results", "--recorded", folder / PAIRS, "--store", store), "stand alone"),
        (("results", folder, "--store", store, "--run", tmp_path), "no study.json"),
        (("pack", "a", "b", "--out", tmp_path / "p", "--models", "x"), "models of a run"),
        (("pack", "a", "--out", tmp_path / "p", "--corpus", "x"), "two files"),
        (("pack", "a"), "--out is missing"),
        (("power", "--to", "0.5"), "0.5"),
    ):
        with pytest.raises(InputError, match=said):
            typed(*words)
    assert not (tmp_path / "none.db").exists()
    other = small_packet(tmp_path / "other", pairs=2)
    assert other.facts.pairs == 2
    with pytest.raises(InputError, match="votes on another packet"):
        typed("results", tmp_path / "other", "--store", store)
    key = tmp_path / "other" / KEY
    key.write_text(key.read_text().replace(STUDENT, "better-name"))
    with pytest.raises(InputError, match="edited after it was packed"):
        typed("results", tmp_path / "other", "--store", store)


def test_missing_packages_are_named(study, monkeypatch):
    import importlib.util

    _, _, store = study
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "nh3" else found(name, *a)
    )
    with pytest.raises(InputError, match="not installed: nh3") as told:
        typed("status", "--store", store)
    assert told.value.hint == 'Type: pip install "veneer[raters]"'


def test_power_says_how_many_prompts_and_what_they_cost():
    told = typed("power", "--prompts", "255", "--to", "0.55", "--json")
    assert (told["prompts_needed"], round(told["detectable"], 3)) == (627, 0.578)
    assert told["usd"] == pytest.approx(627 * 3 / 0.9 * 60 / 3600 * 15)
