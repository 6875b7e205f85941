"""The owner's pages over HTTP: a real server, a real store."""

import itertools
import json
import re
import sqlite3
import time

import httpx
import krippendorff
import numpy as np
import pytest
from packets import STUDENT, TEACHER, small_packet
from serving import rated, studied

from veneer.raters.agreement import agreement, by_patterns
from veneer.raters.server import links
from veneer.raters.server.owner_watch import choices_together, spent
from veneer.raters.store import crowds, progress

GETS = ["", "/progress", "/raters", "/votes.csv", "/votes.jsonl", "/raters/1", "/raters/1/revoke"]
POSTS = ["/pause", "/links", "/raters/1/renew", "/raters/1/revoke", "/raters/1/forget"]
NOW = time.time() - 3000


@pytest.fixture
def served(tmp_path):
    packet = small_packet(tmp_path / "packet", pairs=8, gold=2)
    with studied(packet, tmp_path, wage=20.0) as served:
        yield served


@pytest.fixture
def owner(served):
    with httpx.Client(base_url=served.address, cookies=served.owner_cookie()) as client:
        yield client


def hidden(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's last form that has a key; of any form the token."""
    assert page.status_code == 200, page.text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', page.text))


def dump(served) -> list[str]:
    with sqlite3.connect(served.store.url_shown.removeprefix("sqlite:///")) as conn:
        return list(conn.iterdump())


def three_raters(served) -> None:
    rated(served, "Ana", lambda pair, n: (1, 30.0, "Clear."), 6, NOW)
    rated(served, "Ben", lambda pair, n: (n % 3, 60.0, "=1+1"), 10, NOW)
    rated(served, "Cleo", lambda pair, n: (2, 20.0, ""), 4, NOW)


def test_nobody_else_sees_or_changes_anything(served):
    invitation = served.invite("Ana")
    with httpx.Client(base_url=served.address) as client:
        page = client.get(invitation)
        client.post(invitation, data=hidden(page))
        rater = client.cookies["rater"]
        before = dump(served)
        token = links.csrf(served.store.secret, rater)
        for cookies in ({}, {"owner": rater}, {"owner": "made-up"}, {"rater": rater}):
            client.cookies = httpx.Cookies(cookies)
            for path in GETS:
                refused = client.get(f"/owner{path}")
                assert refused.status_code == 403, path
                assert "veneer rate serve" in refused.text
            for path in POSTS:
                fields = {"csrf": token, "to": "paused", "once": "0" * 32, "votes": "discard"}
                assert client.post(f"/owner{path}", data=fields).status_code == 403, path
        assert dump(served) == before


def test_the_owners_link_opens_with_a_button_and_ends_with_the_next(served):
    link = served.owner_link()
    with httpx.Client(base_url=served.address) as client:
        before = dump(served)
        page = client.get(link)
        assert client.get(link).status_code == 200
        assert dump(served) == before
        assert client.get("/owner").status_code == 403
        start = client.cookies["start"]
        for _ in range(2):  # a double click sends the same cookies twice
            answer = client.post(link, data=hidden(page), headers={"Cookie": f"start={start}"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/owner")
        assert client.get("/owner").status_code == 200
        forged = link[:-1] + ("A" if link[-1] != "A" else "B")
        assert client.get(forged).status_code == 403
        assert client.post(link, headers={"Cookie": f"start={start}"}).status_code == 400
        served.owner_link()
        assert client.get("/owner").status_code == 403
        assert client.get(link).status_code == 403


def test_the_start_of_a_rater_opens_no_owners_page(served):
    with httpx.Client(base_url=served.address) as client:
        page = client.get(served.invite("Ana"))
        assert client.post(served.owner_link(), data=hidden(page)).status_code == 403
        assert "owner" not in client.cookies


def test_invitations_are_shown_once_and_never_kept(served, owner, tmp_path):
    fields = hidden(owner.get("/owner"))
    fields |= {"labels": " Ana \r\n\r\n<b>desk 4</b>\r\nÉmile\r\n", "count": "3", "days": "7"}
    page = owner.post("/owner/links", data=fields)
    assert page.status_code == 200
    again = owner.post("/owner/links", data=fields)
    assert again.text == page.text  # a double click: the same links, no more raters
    addresses = re.findall(r'value="(http[^"]+)"', page.text)
    assert len(addresses) == 3
    assert "&lt;b&gt;desk 4&lt;/b&gt;" in page.text
    assert [r.label for r in served.store.seen(progress.raters, time.time())] == [
        "Ana",
        "<b>desk 4</b>",
        "Émile",
    ]
    for address in addresses:
        assert httpx.get(address).status_code == 200
        token = address.rpartition("/")[2]
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("votes.db*"))
        assert token.encode() not in stored
        assert links.hash_of(token).encode() in stored
        assert token not in owner.get("/owner").text
    clash = owner.post("/owner/links", data=fields | hidden(owner.get("/owner")))
    assert clash.status_code == 422
    assert "label “&lt;b&gt;desk 4&lt;/b&gt;” already" in clash.text
    assert "Émile\r\n</textarea>" in clash.text  # what was written is still there


def test_what_cannot_be_invited(served, owner):
    for fields, words in (
        ({"labels": "", "count": "0", "days": "7"}, "a number of links from 1 to 200"),
        ({"labels": "", "count": "1e3", "days": "7"}, "a number of links from 1 to 200"),
        ({"labels": "Ana", "count": "", "days": "400"}, "1 to 365 days"),
        ({"labels": "Ana\nAna", "count": "", "days": "7"}, "there twice"),
        ({"labels": "A" * 81, "count": "", "days": "7"}, "at most 80 characters"),
        ({"labels": "\n".join(map(str, range(201))), "days": "7"}, "at most 200 links"),
    ):
        page = owner.post("/owner/links", data=hidden(owner.get("/owner")) | fields)
        assert page.status_code == 422, fields
        assert words in page.text
    assert served.store.seen(progress.raters, NOW) == []


def test_links_without_labels_under_the_public_address(tmp_path):
    packet = small_packet(tmp_path / "packet")
    with studied(packet, tmp_path, public_url="https://rating.example.org") as served:
        cookie = served.owner_cookie()["owner"]
        with httpx.Client(base_url=served.address, cookies={"__Host-owner": cookie}) as owner:
            fields = hidden(owner.get("/owner")) | {"labels": "", "count": "2", "days": "1"}
            page = owner.post("/owner/links", data=fields)
    found = re.findall(r'value="(https://rating\.example\.org/i/[\w.-]+)"', page.text)
    assert len(found) == 2
    assert "r2\thttps://" in page.text


def test_pause_and_resume(served, owner):
    for to, paused in (("paused", True), ("paused", True), ("running", False), ("running", False)):
        answer = owner.post("/owner/pause", data={**hidden(owner.get("/owner")), "to": to})
        assert answer.status_code == 303
        assert served.store.seen(progress.state, NOW).paused is paused
        page = owner.get(answer.headers["location"])
        assert ("Resume the study" in page.text) is paused
    assert owner.post("/owner/pause", data=hidden(page)).status_code == 400


def test_no_form_without_its_token(served, owner):
    three_raters(served)
    before = dump(served)
    for path in POSTS:
        fields = {"to": "paused", "once": "0" * 32, "votes": "discard", "csrf": "0" * 64}
        assert owner.post(f"/owner{path}", data=fields).status_code == 403, path
    assert dump(served) == before


def test_gets_change_nothing_and_name_no_model(served, owner):
    three_raters(served)
    before = dump(served)
    for path in [*GETS, "/raters/1/forget", "?said=revoked&rater=%3Cb%3E", "?said=nonsense"]:
        page = owner.get(f"/owner{path}")
        assert page.status_code == 200
        everything = f"{page.headers}{page.text}"
        for name in (STUDENT, TEACHER, "packet", "votes.db"):
            assert name not in everything.replace("votes.db</code>", ""), path
        assert "<b>" not in page.text
    assert owner.get("/owner/raters/99").status_code == 404
    fields = hidden(owner.get("/owner")) | {"votes": "discard"}
    assert owner.post("/owner/raters/99/forget", data=fields).status_code == 404
    assert dump(served) == before


def test_a_renewed_link_is_the_same_raters(served, owner):
    three_raters(served)
    fields = hidden(owner.get("/owner/raters/2"))
    page, again = (owner.post("/owner/raters/2/renew", data=fields) for _ in range(2))
    assert page.text == again.text
    address = re.search(r'value="(http[^"]+)"', page.text)[1]
    with httpx.Client() as rater:
        assert rater.post(address, data=hidden(rater.get(address))).status_code == 303
    states = served.store.seen(progress.raters, NOW)
    assert [(r.rater, r.link) for r in states] == [(1, "used"), (2, "used"), (3, "used")]


def test_a_forgotten_rater_gets_no_new_link(served, owner):
    three_raters(served)
    fields = hidden(owner.get("/owner/raters/1"))
    owner.post("/owner/raters/1/forget", data=fields | {"votes": "keep"})
    page = owner.post("/owner/raters/1/renew", data=fields)
    assert page.status_code == 422
    assert "r1 was forgotten" in page.text


def test_raters_are_taken_out(served, owner):
    three_raters(served)
    rated(served, "Dario", lambda pair, n: (0, 20.0, "Why not."), 5, NOW)
    given = [rater.votes for rater in served.store.seen(progress.raters, NOW)]
    assert min(given) > 0
    ways = [("revoke", "keep"), ("revoke", "discard"), ("forget", "keep"), ("forget", "discard")]
    for number, (what, votes) in enumerate(ways, 1):
        page = owner.get(f"/owner/raters/{number}/{what}")
        label = ("Ana", "Ben", "Cleo", "Dario")[number - 1]
        assert label in page.text
        fields = hidden(page) | {"votes": votes}
        for _ in range(2):
            answer = owner.post(f"/owner/raters/{number}/{what}", data=fields)
            assert answer.status_code == 303
        said = "is revoked" if what == "revoke" else "is forgotten"
        assert f"r{number} {said}" in owner.get(answer.headers["location"]).text
        left = served.store.seen(progress.raters, NOW)[number - 1]
        assert left.votes == (0 if votes == "discard" else given[number - 1])
        assert left.link == "revoked"
        assert left.label == ("" if what == "forget" else label)


def test_votes_as_files(served, owner):
    three_raters(served)
    jsonl = owner.get("/owner/votes.jsonl")
    assert 'filename="votes.jsonl"' in jsonl.headers["content-disposition"]
    rows = [json.loads(line) for line in jsonl.text.splitlines()]
    assert len(rows) == served.store.seen(progress.state, NOW).votes
    assert {row["item"] for row in rows} <= set(served.packet.by_id) - set(served.packet.gold)
    csv = owner.get("/owner/votes.csv")
    assert "'=1+1" in csv.text
    assert not re.search(r"(^|,)=", csv.text, re.MULTILINE)


def test_numbers_are_those_of_the_votes(served, owner):
    three_raters(served)
    votes = served.store.seen(progress.votes)
    by_pair: dict[str, list[int]] = {}
    for vote in votes:
        by_pair.setdefault(vote.item, []).append(vote.choice)
    pairs = [pair for one in by_pair.values() for pair in itertools.combinations(one, 2)]
    same, found = by_patterns(served.store.seen(choices_together))
    assert same.value == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert same.n == found.n == sum(len(one) > 1 for one in by_pair.values())
    table = np.full((3, len(by_pair)), np.nan)
    for column, choices in enumerate(by_pair.values()):
        table[: len(choices), column] = choices
    alpha = krippendorff.alpha(table, level_of_measurement="nominal")
    assert found.value == pytest.approx(alpha)
    whole = agreement({k: {str(n): c for n, c in enumerate(v)} for k, v in by_pair.items()})
    assert (found.low, found.high) == pytest.approx((whole.alpha.low, whole.alpha.high), abs=0.1)
    checks = served.store.seen(progress.votes, True)
    seconds = sum(vote.seconds for vote in [*votes, *checks])
    assert served.store.seen(spent).private_seconds == pytest.approx(seconds, abs=0.01)
    page = owner.get("/owner").text
    assert f"{alpha:.2f} [{found.low:.2f}, {found.high:.2f}]".replace("-", "−") in page
    assert f"n = {found.n} pairs" in page
    assert f'<span class="count">{len(votes)}</span> of 24 votes' in page
    assert f"× $20.00 an hour = ${seconds / 180:.2f}" in page
    part = owner.get("/owner/progress", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert f'<span class="count">{len(votes)}</span>' in part


def test_the_crowds_money_is_that_of_its_ledger(served, owner):
    def launched(conn, environment, state):
        facts = {"environment": environment}
        campaign = crowds.add_campaign(conn, "mturk", environment, 5, facts, NOW)
        crowds.add_hit(conn, f"{environment} hit", campaign, 9, 100, 20, state)

    served.store.now(launched, "production", "open 4 1")
    served.store.now(launched, "sandbox", "open 9 0")
    page = owner.get("/owner").text
    assert "$4.80 paid of $10.80 committed" in page  # 4 and 9 of 120 cents; the sandbox is free


def test_a_study_without_votes_is_shown(served, owner):
    page = owner.get("/owner").text
    assert "waiting for the first vote" in page
    assert "Nobody yet." in page
    assert owner.get("/owner/votes.jsonl").text == ""


def test_many_who_watch_are_one_look(served, owner, monkeypatch):
    looks = []
    see = served.store.see

    async def counted(look, *args):
        looks.append(getattr(look, "__name__", ""))
        return await see(look, *args)

    monkeypatch.setattr(served.store, "see", counted)
    for _ in range(20):
        assert owner.get("/owner/progress").status_code == 200
    assert looks.count("look") <= 3  # twenty requests take less than three seconds
