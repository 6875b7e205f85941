"""A study with a crowd, as its owner runs it; keys that open nothing."""

from __future__ import annotations

import time

import pytest
from packets import small_packet

from veneer.raters.crowds import mturk, prolific
from veneer.raters.server import links
from veneer.raters.store import Assigned, open_store, people, progress, voting


def made_up_keys(patch: pytest.MonkeyPatch, folder) -> None:
    """Keys that open nothing, no configuration but the test's own, and no waiting between tries."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_MTURK"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    patch.setenv("AWS_CONFIG_FILE", str(folder / "aws-config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "aws-credentials"))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


class Study:
    """A store, and the commands an owner would type."""

    def __init__(self, turk, folder, url=None, **packet):
        self.turk = turk
        self.packet = small_packet(folder / "packet", **packet)
        self.store = open_store(url or f"sqlite:///{folder}/votes.db", self.packet)
        self.url = "http://127.0.0.1:1"

    def launch(self, pairs=3, budget_usd="20", **more):
        given = {"public_url": self.url, "endpoint_url": self.turk.url}
        given |= {"seconds_per_pair": 30, "clock": self.turk.now} | more
        return mturk.launch(
            self.store, self.packet, pairs_per_assignment=pairs, budget_usd=budget_usd, **given
        )

    def prolific(self, pairs=2, **more):
        given = {"public_url": self.url, "seconds_per_pair": 30} | more
        return prolific.open_entrance(self.store, self.packet, pairs_per_submission=pairs, **given)

    def do(self, command, **more):
        given = {"endpoint_url": self.turk.url, "clock": self.turk.now} | more
        return command(self.store, self.packet, **given)

    def status(self, budget_usd="20"):
        return self.do(mturk.status, budget_usd=budget_usd)

    def state(self):
        return self.store.seen(progress.state, time.time())

    def begin(self, label, cookie, at):
        """Invite a rater of one's own, whose browser has this cookie."""
        link = links.hash_of(label)
        self.store.now(people.invite, label, link, at + 1e6, at)
        self.store.now(people.begin, link, links.hash_of(cookie), at)

    def hand(self, cookie, at):
        """The pair that this cookie's rater has in hand; None without one."""
        _, now = self.store.now(voting.seen_now, links.hash_of(cookie), at)
        return now.item if isinstance(now, Assigned) else None

    def vote(self, cookie, at, choice=1):
        """Vote on the pair in hand."""
        item = self.hand(cookie, at)
        self.store.now(voting.vote_and_next, links.hash_of(cookie), item, choice, "", at)

    def vote_on_pair(self, cookie, at):
        """Vote until a pair of the study, no attention check, has got the vote."""
        checks = self.packet.gold
        while (item := self.hand(cookie, at)) in checks:
            self.vote(cookie, at)
        assert item is not None
        self.vote(cookie, at)
