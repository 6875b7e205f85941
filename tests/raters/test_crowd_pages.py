"""The crowds' pages: ways in, the way back, and a study of three kinds of raters."""

import json
import re
import sqlite3
import time
from collections import Counter, defaultdict
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from crowd_study import Study, made_up_keys
from crowd_workers import Browser, Turker, forms, served
from mturk_rules import Worker
from mturk_server import NO_ASSIGNMENT, FakeTurk
from packets import STUDENT, TEACHER

from veneer.errors import InputError
from veneer.raters.crowds import mturk
from veneer.raters.crowds.receipts import Way, sealed
from veneer.raters.store import progress
from veneer.raters.store.crowds import campaigns, close_campaign

MTURK = {"https://worker.mturk.com", "https://workersandbox.mturk.com", "https://www.mturk.com"}


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path):
    made_up_keys(monkeypatch, tmp_path)


@pytest.fixture
def turk():
    fake = FakeTurk()
    yield fake
    fake.close()


@pytest.fixture
def study(turk, tmp_path):
    made = Study(turk, tmp_path, pairs=4, ratings=2)
    with served(made.store, made.packet, turk=turk) as made.url:
        yield made
    made.store.close()


def policy(page):
    """The content security policy by directive."""
    parts = page.headers["content-security-policy"].split("; ")
    return {part.split(" ")[0]: set(part.split(" ")[1:]) for part in parts}


def participant(study, said, pid, submission):
    """What Prolific makes of the study URL for one participant."""
    url = said["url"].replace("{{%PROLIFIC_PID%}}", pid).replace("{{%STUDY_ID%}}", "S1")
    return url.replace("{{%SESSION_ID%}}", submission)


def test_a_preview_shows_the_instructions_and_no_pair(study, turk):
    study.launch(pairs=2)
    (hit,) = turk.hits.values()
    page = Browser().http.get(turk.frame(hit))
    assert page.status_code == 200
    assert NO_ASSIGNMENT in str(page.url)
    assert "Accept the HIT to begin" in page.text
    assert "<b>Completeness:</b>" in page.text
    assert forms(page) == {}
    assert "set-cookie" not in page.headers
    for word in ("Output one of", "Prompt 0", STUDENT, TEACHER):
        assert word not in page.text


def test_only_mechanical_turk_frames_these_pages_and_takes_their_form(study, turk):
    study.launch(pairs=2)
    turker = Turker(turk, Worker("A1"))
    hit, assignment = turker.take()
    http = turker.browser.http
    frame = turk.frame(hit, assignment)
    welcome = http.get(frame)
    rating = http.post(welcome.url, data=forms(welcome)[""].fields)
    last = turker.browser.rate(rating)
    ours = MTURK | {turk.url}
    for page in (welcome, rating, last):
        assert policy(page)["frame-ancestors"] == ours
        assert policy(page)["default-src"] == {"'none'"}
    assert policy(welcome)["form-action"] == policy(rating)["form-action"] == {"'self'"}
    assert policy(last)["form-action"] == {"'self'"} | ours
    # The last page's form: the assignment, and a receipt. The cookies alone carried both.
    (form,) = [each for each in forms(last).values() if "externalSubmit" in each.action]
    assert form.action == f"{turk.url}/mturk/externalSubmit"
    assert form.fields["assignmentId"] == assignment.id
    assert assignment.id not in rating.text
    turker.browser.hand_in(last)
    assert study.do(mturk.approve)["approved"] == 1


def test_no_address_but_amazons_is_ever_submitted_to(study, turk):
    study.launch(pairs=2)
    turker = Turker(turk, Worker("A1"))
    hit, assignment = turker.take()
    frame = urlsplit(turk.frame(hit, assignment))
    honest = dict(parse_qsl(frame.query))
    entrance = frame._replace(query="").geturl()
    for bad in (
        "https://evil.example.org", "https://www.mturk.com.evil.example.org", "javascript:alert(1)",
        "https://www.mturk.com@evil.example.org", "http://www.mturk.com", "", "//evil.example.org",
    ):  # fmt: skip
        page = httpx.get(f"{entrance}?{urlencode(honest | {'turkSubmitTo': bad})}")
        assert page.status_code == 400
        assert forms(page) == {}
        assert "evil" not in page.text
    # Nor by a form that was changed, nor by a cookie that was made elsewhere or for another.
    http = turker.browser.http
    form = forms(http.get(frame.geturl()))[""].fields
    changed = http.post(entrance, data=form | {"turkSubmitTo": "https://evil.example.org"})
    assert changed.status_code == 400
    last = turker.browser.rate(http.post(entrance, data=form))
    evil = Way(1, assignment.id, "https://evil.example.org")
    for cookie in (
        sealed(b"another secret", evil._replace(submit_to=turk.url)),
        sealed(study.store.secret, evil),
        sealed(study.store.secret, Way(2, assignment.id, turk.url)),
        "x",
    ):
        rater = {"Cookie": f"rater={http.cookies['rater']}; way={cookie}"}
        page = httpx.get(last.url, headers=rater)
        assert not [action for action in forms(page) if "externalSubmit" in action]
        assert "Open the HIT again from your queue" in page.text
    # Opening the HIT again brings the way back.
    turker.browser.hand_in(turker.browser.come_in(frame.geturl()))
    assert study.do(mturk.approve)["approved"] == 1


def test_parameters_that_are_missing_or_strange_are_one_clear_page(study, turk):
    study.launch(pairs=2)
    turker = Turker(turk, Worker("A1"))
    hit, assignment = turker.take()
    frame = urlsplit(turk.frame(hit, assignment))
    honest = dict(parse_qsl(frame.query))
    entrance = frame._replace(query="").geturl()
    for name in ("workerId", "assignmentId"):
        for value in (None, "", "a b", "<script>", "x" * 129, "é"):
            given = {key: each for key, each in honest.items() if key != name or value is not None}
            if value is not None:
                given[name] = value
            page = httpx.get(f"{entrance}?{urlencode(given)}")
            assert page.status_code == 400, (name, value)
            assert "Please come from Mechanical Turk" in page.text
            assert "<script>" not in page.text
    forged = entrance[:-1] + ("A" if entrance[-1] != "A" else "B")
    assert httpx.get(f"{forged}?{frame.query}").status_code == 403


def test_a_browser_without_cookies_is_shown_another_way(study, turk):
    study.launch(pairs=2)
    turker = Turker(turk, Worker("A1"))
    frame = turk.frame(*turker.take())
    welcome = httpx.get(frame)
    page = httpx.post(frame, data=forms(welcome)[""].fields)
    assert page.status_code == 403
    link = re.search(r'href="(/c/[^"]+)" target="_blank"', page.text)[1].replace("&amp;", "&")
    last = turker.browser.rate(turker.browser.come_in(f"{study.url}{link}"))
    turker.browser.hand_in(last)
    # The button needs the page that it was on: no other site can press it.
    other = Browser()
    other.http.get(frame)
    assert other.http.post(frame, data=forms(welcome)[""].fields).status_code == 403


def test_on_https_cookies_reach_into_the_frame_and_nothing_else_reads_them(turk, tmp_path):
    study = Study(turk, tmp_path)
    with served(study.store, study.packet, turk=turk, public_url="https://rate.example.org") as at:
        study.launch(public_url="https://rate.example.org")
        (hit,) = turk.hits.values()
        frame = turk.frame(hit, turk.accept(Worker("A1"), hit))
        welcome = httpx.get(frame.replace("https://rate.example.org", at))
        (start,) = welcome.headers.get_list("set-cookie")
        cookie = {"Cookie": start.split(";")[0]}
        entered = httpx.post(welcome.url, data=forms(welcome)[""].fields, headers=cookie)
    assert entered.status_code == 303
    assert entered.headers["location"] == "/rate"
    given = [start, *entered.headers.get_list("set-cookie")]
    assert [each.split("=")[0] for each in given] == ["__Host-start", "__Host-rater", "__Host-way"]
    for each in given:
        rules = {"Path=/", "HttpOnly", "SameSite=None", "Secure", "Partitioned"}
        assert rules <= set(each.split("; "))
    study.store.close()


def test_who_has_rated_everything_is_told_to_return_the_hit(study, turk):
    study.launch(pairs=4, assignments=2)
    turker = Turker(turk, Worker("A1"))
    assert turker.work()
    study.launch(pairs=2, assignments=1)  # another HIT, for which nothing is left to A1
    hit, assignment = turker.take()
    page = turker.browser.come_in(turk.frame(hit, assignment))
    assert page.url.path == "/finished"
    assert "Please return the HIT" in page.text
    assert forms(page) == {}
    turk.give_back(assignment)
    # B1 has rated two pairs of four when all else is with C1: what they did counts as all.
    other = Turker(turk, Worker("B1"))
    first = turk.accept(other.worker, next(iter(turk.hits.values())))
    other.browser.rate(other.browser.come_in(turk.frame(turk.hits[first.hit], first)), 4)
    late = Turker(turk, Worker("C1"))
    assert "nothing left for you" in late.browser.come_in(turk.frame(*late.take())).text


def test_an_assignment_that_is_cut_short_by_the_study_is_paid_in_full(study, turk):
    study.launch(pairs=4, assignments=3)
    crowd = [Turker(turk, Worker(f"A{n}")) for n in range(3)]
    pages = [each.browser.come_in(turk.frame(*each.take())) for each in crowd]
    # The third votes once before the others take all that is left but the pair in its hand.
    crowd[2].browser.rate(pages[2], 1)
    last = [each.browser.rate(page) for each, page in zip(crowd[:2], pages, strict=False)]
    last.append(crowd[2].browser.rate(crowd[2].browser.http.get(f"{study.url}/rate")))
    assert [len(each.browser.seen) for each in crowd] == [4, 2, 2]
    assert "All done" in last[0].text
    assert "paid in full" not in last[0].text
    last[1] = crowd[1].browser.http.get(f"{study.url}/finished")
    for page in last[1:]:
        assert "hand it in as it is and you are paid in full" in page.text
    crowd[0].browser.hand_in(last[0])
    crowd[2].browser.hand_in(last[2])
    # The second leaves the page and claims the money by hand: it has no receipt.
    (mine,) = [
        each for hit in turk.hits.values() for each in hit.assignments if each.worker == "A1"
    ]
    turk.take_in([("assignmentId", mine.id), ("veneer", "paid, please")])
    said = study.do(mturk.approve)
    assert (said["approved"], said["rejected"]) == (2, 1)
    statuses = {
        each.worker: (each.status, each.feedback)
        for hit in turk.hits.values()
        for each in hit.assignments
    }
    assert statuses["A0"][0] == statuses["A2"][0] == "Approved"
    assert statuses["A1"][0] == "Rejected"
    assert re.match("Only 2 of 4 comparisons were rated", statuses["A1"][1])


def test_failing_attention_checks_are_listed_and_rejected_only_when_asked(turk, tmp_path):
    study = Study(turk, tmp_path, pairs=6, gold=6, ratings=2)
    right = study.packet.gold
    with served(study.store, study.packet, turk=turk) as study.url:
        study.launch(pairs=6, assignments=3)
        wrong = {item: str(3 - choice) for item, choice in right.items()}
        good = {item: str(choice) for item, choice in right.items()}
        for name, key in (("GOOD", good), ("BAD", wrong), ("WORSE", wrong)):
            turker = Turker(turk, Worker(name))
            assert turker.work(lambda item, key=key: key.get(item, "0"))
            assert set(turker.browser.seen) & set(right)
    said = study.do(mturk.approve)
    assert (said["approved"], said["rejected"], len(said["failing"])) == (1, 0, 2)
    assert "3 days" in said["text"].replace("three", "3")
    assert study.status()["submitted"] == 2
    said = study.do(mturk.approve, reject_failing=True)
    assert (said["approved"], said["rejected"]) == (0, 2)
    (hit,) = turk.hits.values()
    told = {each.worker: (each.status, each.feedback) for each in hit.assignments}
    assert told["GOOD"][0] == "Approved"
    assert told["BAD"][0] == told["WORSE"][0] == "Rejected"
    assert "Attention checks" in told["BAD"][1]
    study.store.close()


def test_a_closed_entrance_lets_in_who_had_begun_and_nobody_else(study, turk):
    study.launch(pairs=2)
    begun, late = Turker(turk, Worker("A1")), Turker(turk, Worker("A2"))
    first, second = turk.frame(*begun.take()), turk.frame(*late.take())
    page = begun.browser.come_in(first)
    (campaign,) = study.store.seen(campaigns)
    study.store.now(close_campaign, campaign.id)
    assert late.browser.http.get(second).status_code == 410
    assert begun.browser.come_in(first).status_code == page.status_code == 200


def test_a_paused_study_pays_for_what_was_done(study, turk):
    study.launch(pairs=4, assignments=1)
    turker = Turker(turk, Worker("A1"))
    page = turker.browser.come_in(turk.frame(*turker.take()))
    turker.browser.rate(page, 1)
    study.store.now(progress.pause, True)
    last = turker.browser.http.get(f"{study.url}/finished")
    assert "The study is paused" in last.text
    turker.browser.hand_in(last)
    said = study.do(mturk.approve)
    assert said["approved"] == 1
    assert "off the market" not in said["text"]  # its one assignment was taken


def test_prolific_gets_its_url_code_and_cost(study):
    with pytest.raises(InputError, match=r"Prolific does not let one pay \$7.99"):
        study.prolific(hourly_usd="7.99")
    with pytest.raises(InputError, match="no plan 'free'"):
        study.prolific(plan="free")
    with pytest.raises(InputError, match="not known yet"):
        study.prolific(seconds_per_pair=None)
    said = study.prolific()
    # 8 votes in submissions of 2 are 4, and one in reserve; 60 s at $15 an hour is 25 cents;
    # 42.8 % of $1.25 is 53.5 cents.
    wanted = {"participants": 5, "reserve": 1, "minutes": 1, "reward_cents": 25, "fee_cents": 54}
    assert {name: said[name] for name in wanted} == wanted
    assert said["cost_cents"] == 179
    assert study.prolific(plan="academic")["fee_cents"] == 42
    assert said["completion_url"] == (
        f"https://app.prolific.com/submissions/complete?cc={said['code']}"
    )
    assert study.prolific()["url"] == said["url"]  # the same entrance again
    assert "Open HITs" not in said["text"]
    study.launch(assignments=1)
    assert "Open HITs on Mechanical Turk may bring some" in study.prolific()["text"]
    assert said["url"] in said["text"]
    assert said["url"].endswith(
        "?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
    )


def test_a_participant_gets_the_code_at_the_end_and_not_before(study):
    said = study.prolific()
    url = participant(study, said, "5f0abc", "60def")
    browser = Browser()
    assert browser.http.get(url.partition("?")[0]).status_code == 400
    page = browser.come_in(url)
    assert policy(page)["frame-ancestors"] == {"'none'"}
    early = browser.http.get(f"{study.url}/finished")
    assert early.url.path == "/rate"
    assert said["code"] not in page.text + early.text
    last = browser.rate(page)
    assert len(browser.seen) == 2
    assert f'href="{said["completion_url"]}"' in last.text
    # The same participant's next submission goes on with other pairs; a third finds none.
    again = participant(study, said, "5f0abc", "61def")
    browser.rate(browser.come_in(again))
    assert len(set(browser.seen)) == 4
    third = browser.come_in(participant(study, said, "5f0abc", "62def"))
    assert "Please return your submission on Prolific" in third.text
    assert said["code"] not in third.text


def test_one_study_goes_from_private_raters_to_two_crowds(turk, tmp_path):
    study = Study(turk, tmp_path, pairs=8, gold=2, ratings=3)
    with served(study.store, study.packet, turk=turk) as study.url:
        # One's own people first: half of the 24 votes.
        at = time.time()
        for n in range(3):
            study.begin(f"own {n}", f"cookie {n}", at)
        for n in range(12):
            study.vote_on_pair(f"cookie {n % 3}", at)
        assert study.state().by_origin == {"private": 12}
        # Then Mechanical Turk, while a rater of one's own goes on.
        study.launch(pairs=3, assignments=2)
        for n in range(2):
            turker = Turker(turk, Worker(f"A{n}SECRETWORKER"))
            assert turker.work(lambda item: str(study.packet.gold.get(item, 2)))
        study.vote_on_pair("cookie 0", at)
        # Then Prolific, until nothing is missing; some come twice.
        said = study.prolific()
        for n in range(20):
            state = study.state()
            if state.votes + state.leased == 24:
                break
            url = participant(study, said, f"PIDQUOKKA{n % 7}", f"SUBMISSIONQUOKKA{n}")
            browser = Browser()
            browser.rate(browser.come_in(url))
        # The rest was in the hands of one's own people all along.
        for n in range(3):
            while study.hand(f"cookie {n}", at) is not None:
                study.vote(f"cookie {n}", at)
        state = study.state()
    assert (state.done, state.votes) == (8, 24)
    raters, origins = defaultdict(list), Counter()
    for vote in study.store.seen(progress.votes):
        raters[vote.item].append(vote.rater)
        origins[vote.origin] += 1
    assert len(raters) == 8
    for who in raters.values():
        assert len(who) == len(set(who)) == 3
    assert state.by_origin == dict(sorted(origins.items()))
    assert 13 <= origins["private"] <= 16
    assert origins["mturk"] >= 4
    assert origins["prolific"] >= 2
    assert sum(origins.values()) == 24
    assert study.do(mturk.approve)["approved"] == 2
    study.store.close()
    # No id of a worker, an assignment or a submission is anywhere in the store.
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("votes.db*"))
    ids = [each.id for hit in turk.hits.values() for each in hit.assignments]
    for word in [b"SECRETWORKER", b"QUOKKA", *(each.encode() for each in ids)]:
        assert word not in kept
    rows = sqlite3.connect(tmp_path / "votes.db").execute("SELECT worker FROM veneer_raters")
    hashes = [worker for (worker,) in rows if worker is not None]
    assert len(set(hashes)) == len(hashes) >= 3
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)
    assert json.dumps(said)  # figures of the commands are plain data
