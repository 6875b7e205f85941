"""Bad days of a study, over HTTP at real servers: each one is one clear page, and no vote is lost.

In each, raters have voted before and go on after; the votes in the database are then those that
were acknowledged, once each.
"""

import asyncio
import contextlib
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from load_client import Browser, Rater, Tally
from load_server import Server, faults, forked, invitations, stored_votes
from packets import STUDENT, TEACHER, small_packet

from veneer.raters.packet import read_packet
from veneer.raters.server.links import hash_of, new_link
from veneer.raters.store import open_store, people

AWAY = (503, "The study cannot be reached just now")
FORGED = (403, "This link does not work here")


class Study:
    """A study that is served, and what its raters did."""

    def __init__(self, folder, url, server):
        self.folder, self.url, self.server = folder, url, server
        self.packet, self.tally = read_packet(folder / "packet"), Tally()

    async def rater(self):
        """Somebody who opened their link, saw the first pair and voted on it."""
        [(name, path)] = invitations(self.packet, self.url, 1)
        person = Rater(name, path, self.server.address, self.tally)
        await person.begin()
        await person.vote(time.monotonic())
        return person

    async def goes_on(self, person, form):
        """The same form sent again is accepted, and the next votes are."""
        answer = await person.send(form)
        assert answer.status == 200
        assert (await person.browser.post("/rate", form)).status == 200  # pressed twice
        person.page = answer
        for _ in range(3):
            await person.vote(time.monotonic())
        assert not self.tally.refused
        person.browser.close()

    def right(self):
        """Whether the database holds exactly the votes that were acknowledged, once each."""
        kept = {(rater, item): choice for rater, item, choice, _ in stored_votes(self.url)}
        told = {(vote.rater, vote.item): vote.choice for vote in self.tally.voted}
        return kept == told and faults(self.packet, self.url, self.tally, finished=False) == []

    def said(self, answer):
        """A page's status and heading. It tells that votes are safe, not what is behind it."""
        [heading] = re.findall(r"<h1[^>]*>([^<]*)</h1>", answer.text)
        assert "No vote was lost" in answer.text or "not saved yet" in answer.text
        for hidden in (self.url, "Traceback", "votes.db", "psycopg", "sqlite", STUDENT, TEACHER):
            assert hidden not in answer.text
        return answer.status, heading


@contextlib.contextmanager
def served(folder, url=None, *, pairs=60, **settings):
    """A study in `folder` with a server of its own, which lives through all of it."""
    url = url or f"sqlite:///{folder}/votes.db"
    if not (folder / "packet").exists():
        small_packet(folder / "packet", pairs=pairs)
    with Server(forked(folder / "packet", url, **settings)) as server:
        first = server.pid
        yield Study(folder, url, server)
        assert server.runs
        assert server.pid == first


def done(story):
    """Run a story; one that goes nowhere is a failure, for raters try for ever."""
    return asyncio.run(asyncio.wait_for(story, 20))


def test_links_that_do_not_open(tmp_path):
    def made(study):
        """The paths of links, by what is wrong with them."""
        store, now = open_store(study.url, study.packet), time.time()
        tokens = {why: new_link(store.secret, "rater") for why in ("expired", "revoked", "used")}
        for why, token in tokens.items():
            until = now - 1 if why == "expired" else now + 3600
            rater = store.now(people.invite, why, hash_of(token), until, now)
            if why == "revoked":
                store.now(people.revoke, rater, False, now)
        stranger = new_link(b"another study's secret", "rater")
        store.close()
        return {why: f"/i/{token}" for why, token in (tokens | {"forged": stranger}).items()}

    async def story(study):
        person, links = await study.rater(), made(study)
        first = Rater("r0", links["used"], study.server.address, Tally())
        await first.begin()
        for why, status, words in (
            ("expired", 410, "This link has expired"),
            ("revoked", 410, "This link was taken back"),
            ("used", 409, "This link was opened before"),
            ("forged", *FORGED),
        ):
            stranger = Browser(study.server.address)
            assert study.said(await stranger.visit(links[why])) == (status, words)
            assert not stranger.cookies
            assert (await stranger.submit(links[why], {"csrf": "x"})).status == 403
            assert study.said(await stranger.visit("/rate")) == FORGED
            stranger.close()
        await person.vote(time.monotonic())
        first.browser.close()
        person.browser.close()

    with served(tmp_path) as study:
        done(story(study))
        assert len(study.tally.voted) == 2
        assert study.right()


def test_votes_that_are_not_the_raters_to_give(tmp_path):
    async def story(study):
        person, other = await study.rater(), await study.rater()
        form, theirs = person.form(), other.form()
        free = next(
            pair.item
            for pair in study.packet.pairs
            if pair.item not in {form["item"], *(item for _, item in study.tally.sent)}
        )
        for item in (free, "0000000000"):
            answer = await person.browser.post("/rate", {**form, "item": item})
            assert study.said(answer) == (409, "This pair is not with you")
        answer = await person.browser.post("/rate", {**form, "csrf": theirs["csrf"]})
        assert study.said(answer) == (403, "This form is out of date")
        voted = study.tally.voted[0]
        changed = {**form, "item": voted.item, "choice": str((voted.choice + 1) % 3)}
        answer = await person.browser.post("/rate", changed)
        assert study.said(answer) == (409, "You have rated this pair before")
        thief, good = Browser(study.server.address), person.browser.cookies["rater"]
        for cookie in (good[:-1], good.upper(), "x", good + "0", "r1", "%00"):
            thief.cookies["rater"] = cookie
            assert study.said(await thief.visit("/rate")) == FORGED
            assert (await thief.post("/rate", form)).status == 403
            thief.close()
        await study.goes_on(person, form)
        other.browser.close()

    with served(tmp_path) as study:
        done(story(study))
        assert study.right()


def test_another_packet_than_the_one_that_was_voted_on(tmp_path):
    with served(tmp_path) as study:
        person = done(study.rater())
    small_packet(tmp_path / "other", pairs=61)
    edited = tmp_path / "edited"
    edited.mkdir()
    for file in (tmp_path / "packet").iterdir():
        (edited / file.name).write_text(file.read_text().replace("Output one", "Output won"))
    serve = (sys.executable, "-m", "veneer", "rate", "serve")
    found = {
        packet: subprocess.Popen(
            [*serve, str(packet), "--store", study.url, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for packet in (edited, tmp_path / "other")
    }
    told = {packet: process.communicate(timeout=30) for packet, process in found.items()}
    assert [process.returncode for process in found.values()] == [2, 2]
    assert "was edited after it was packed" in told[edited][1]
    assert "holds the votes on another packet" in told[tmp_path / "other"][1]
    assert all("Traceback" not in err and not out for out, err in told.values())
    assert study.right()
    with served(tmp_path) as again:
        again.tally = person.tally
        person.browser = _moved(person.browser, again.server.address)
        done(again.goes_on(person, person.form()))
        assert len(again.tally.voted) == 5
        assert again.right()


def _moved(browser, address):
    """A browser that finds the server elsewhere."""
    there = Browser(address)
    there.cookies = browser.cookies
    return there


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 8 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", ["disk", "limit"])
def test_a_full_disk(tmp_path, kind):
    async def story(study, fill, free):
        person, reader = await study.rater(), await study.rater()
        fill(study.server.pid)
        person.reason = reader.reason = "a long reason " * 140
        for _ in range(400):
            form = person.form()
            answer = await person.send(form)
            if answer.status != 200:
                break
            person.page = answer
        assert study.said(answer) == AWAY
        assert form["reason"].strip() in answer.text  # what was written is not lost either
        assert study.said(await reader.send(reader.form())) == AWAY
        free(study.server.pid)
        await study.goes_on(person, form)
        await study.goes_on(reader, reader.form())

    with contextlib.ExitStack() as stack:
        if kind == "disk":
            (tmp_path / "disk").mkdir()
            disk = stack.enter_context(small_disk(tmp_path / "disk"))
            url = f"sqlite:///{disk}/votes.db"
            ballast = disk / "ballast"

            def fill(_):
                room = os.statvfs(disk)
                ballast.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 500_000)))

            def free(_):
                ballast.unlink()

        else:
            url = f"sqlite:///{tmp_path}/votes.db"
            whole = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

            def fill(pid):
                size = (tmp_path / "votes.db-wal").stat().st_size + 500_000
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, whole[1]))

            def free(pid):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, whole)

        study = stack.enter_context(served(tmp_path, url, pairs=200))
        done(story(study, fill, free))
        assert len(study.tally.voted) > 16
        assert study.right()


def test_sqlite_locked_by_another_process(tmp_path):
    async def story(study):
        person = await study.rater()
        form = person.form()
        lock = sqlite3.connect(tmp_path / "votes.db", check_same_thread=False)
        lock.execute("PRAGMA busy_timeout = 2000")
        lock.execute("BEGIN EXCLUSIVE")
        assert study.said(await person.send(form)) == AWAY
        assert study.said(await person.browser.visit("/rate")) == AWAY
        lock.rollback()
        person.page = await person.send(form)
        assert person.page.status == 200
        lock.execute("BEGIN EXCLUSIVE")
        soon = threading.Timer(0.1, lock.rollback)
        soon.start()
        await study.goes_on(person, person.form())  # a short wait is no failure
        soon.join()
        lock.close()

    with served(tmp_path, busy=0.4) as study:
        done(story(study))
        assert study.right()


def test_postgres_stopped_and_started_under_raters(tmp_path, postgres):
    async def story(study):
        person, other = await study.rater(), await study.rater()
        form = person.form()
        postgres.stop()
        try:
            assert study.said(await person.send(form)) == AWAY
            assert study.said(await other.browser.visit("/rate")) == AWAY
            assert study.said(await other.browser.visit("/i/x")) == FORGED  # needs no database
        finally:
            postgres.start()
        await study.goes_on(person, form)
        await study.goes_on(other, other.form())

    with served(tmp_path, postgres.database()) as study:
        done(story(study))
        assert study.right()
