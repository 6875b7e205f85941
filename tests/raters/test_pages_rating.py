"""A rater's way through the pages, without scripts and with htmx."""

import re
import time

import pytest

from raters.packets import STUDENT, TEACHER
from raters.pages import Study, forms, heading
from veneer.raters.store.people import revoke
from veneer.raters.store.progress import pause, votes

HTMX = {"HX-Request": "true"}


@pytest.fixture
def study(tmp_path):
    with Study(tmp_path) as study:
        yield study


def given(study):
    return [(vote.item, vote.choice, vote.reason) for vote in study.store.seen(votes)]


def test_from_link_to_the_last_pair(study):
    _, link = study.invited()
    browser = study.browser()
    welcome = browser.get(link)
    assert (welcome.status_code, heading(welcome)) == (200, "Comparing answers")
    assert "up to 3 pairs" in welcome.text
    page = forms(welcome)[0].send(browser)
    assert page.url.path == "/rate"
    items = []
    for number, choice in ((1, 1), (2, 0), (3, 2)):
        assert heading(page) == f"Pair {number} of 3"
        assert ('<details class="how" open>' in page.text) == (number == 1)
        form = forms(page)[-1]
        items.append(form.fields["item"])
        page = form.send(browser, choice=choice, reason=f" because\r\n{number} ")
    assert items == [pair.item for pair in study.packet.pairs]
    assert heading(page) == "All done. Thank you!"
    assert "3 pairs" in page.text
    wanted = [
        (item, choice, f"because\n{n}")
        for n, (item, choice) in enumerate(zip(items, (1, 0, 2), strict=True), 1)
    ]
    assert sorted(given(study)) == sorted(wanted)


def test_a_scanner_that_opens_the_link_uses_nothing_up(study):
    _, link = study.invited()
    for _ in range(3):
        assert study.browser().get(link).status_code == 200
    browser = study.browser()
    assert heading(forms(browser.get(link))[0].send(browser)) == "Pair 1 of 3"


def test_a_lost_answer_does_not_lock_a_rater_out(study):
    _, link = study.invited()
    browser = study.browser()
    form = forms(browser.get(link))[0]
    before = dict(browser.cookies)
    form.send(browser, follow=False)
    for again in (lambda: form.send(browser), lambda: browser.get(link)):
        browser.cookies.clear()  # the answer with the new cookie never arrived
        browser.cookies.update(before)
        assert heading(again()) == "Pair 1 of 3"
    assert browser.get(link).url.path == "/rate"  # and later the link is the way in


def test_undo_brings_back_what_was_chosen_and_written(study):
    browser, page = study.at_work()
    assert len(forms(page)) == 1  # nothing to undo yet
    page = forms(page)[-1].send(browser, choice=2, reason="<b>why</b>")
    page = forms(page)[0].send(browser)
    assert heading(page) == "Pair 1 of 3"
    assert forms(page)[-1].fields["reason"] == "<b>why</b>"
    assert page.text.count("(your choice before)") == 1
    assert re.search(r'value="2"[^>]*class="before"', page.text)
    assert given(study) == []
    forms(page)[-1].send(browser, choice=1)
    assert [choice for _, choice, _ in given(study)] == [1]


def test_the_last_vote_can_be_undone_from_the_last_page(study):
    browser, page = study.at_work()
    for _ in range(3):
        page = forms(page)[-1].send(browser, choice=1)
    assert heading(forms(page)[0].send(browser)) == "Pair 3 of 3"


def test_htmx_gets_the_main_part_alone(study):
    browser, page = study.at_work()
    part = forms(page)[-1].send(browser, headers=HTMX, choice=1)
    assert part.status_code == 200
    assert "<html" not in part.text
    assert 'data-said="Saved. Pair 2 of 3."' in part.text
    assert "<title>Pair 2 of 3" in part.text
    undone = forms(part)[0].send(browser, headers=HTMX)
    assert 'data-said="Taken back. Pair 1 of 3."' in undone.text
    inside = re.search(
        r'<main id="main" tabindex="-1">(.*)</main>', browser.get("/rate").text, re.S
    )
    same = undone.text.replace("Taken back. ", "").split("</title>")[1]
    assert same.split() == inside[1].split()  # with scripts and without: the same page


def test_htmx_is_sent_to_a_page_when_no_pair_is_left(study):
    browser, page = study.at_work()
    for _ in range(3):
        page = forms(page)[-1].send(browser, headers=HTMX, choice=1)
    assert page.headers["HX-Redirect"] == "/rate"
    assert heading(browser.get("/rate")) == "All done. Thank you!"


def test_a_vote_sent_twice_counts_once(study):
    browser, page = study.at_work()
    form = forms(page)[-1]
    assert [heading(form.send(browser, choice=1)) for _ in range(3)] == ["Pair 2 of 3"] * 3
    assert len(given(study)) == 1


def test_the_two_sides_differ_in_text_and_digit_alone(tmp_path):
    with Study(tmp_path, outputs=lambda n: ("one `x`\n\n* y", "two `z`\n\n* w")) as study:
        _, page = study.at_work()
    first, second = re.findall(r'<section class="output".*?</section>', page.text, re.S)
    assert first != second
    for one, two in (("one", "two"), ("x", "z"), ("y", "w")):
        first = re.sub(rf"\b{one}\b", two, first)
    assert first.replace("1", "2") == second


def test_pages_and_headers_name_nobody(study, tmp_path):
    browser, page = study.at_work(label="Ms Secret")
    refused = browser.get("/i/nothing")
    for answer in (page, refused, browser.get("/rate"), browser.get("/health")):
        told = answer.text + str(answer.headers) + str(answer.url)
        for name in (STUDENT, TEACHER, str(tmp_path), "votes.db", "Secret"):
            assert name not in told
        assert study.packet.facts.digest[:12] not in told


def test_later_and_paused_have_a_link_to_look_again_and_never_reload(tmp_path):
    with Study(tmp_path, pairs=1, ratings=1) as study:
        study.at_work("first")
        second, page = study.at_work("second")
        assert heading(page) == "No pair for you just now"
        assert "refresh" not in page.text  # it would take the page from under a reader
        study.store.now(pause, True)
        page = second.get("/rate")
        assert heading(page) == "The study is paused"
        assert "refresh" not in page.text  # it would take the page from under a reader
        study.store.now(pause, False)
        assert 'href="/rate"' in page.text


def test_a_vote_in_a_pause_is_kept_on_the_page_and_can_be_sent_again(study):
    browser, page = study.at_work()
    study.store.now(pause, True)
    page = forms(page)[-1].send(browser, choice=2, reason="long & <dear>")
    assert (page.status_code, heading(page)) == (423, "The study is paused")
    assert page.headers["Retry-After"] == "60"
    assert forms(page)[-1].fields["reason"] == "long & <dear>"
    study.store.now(pause, False)
    assert heading(forms(page)[-1].send(browser)) == "Pair 2 of 3"
    assert [row[1:] for row in given(study)] == [(2, "long & <dear>")]


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_database_that_goes_away_and_returns_loses_no_vote(study, tmp_path, headers):
    browser, page = study.at_work()
    file, aside = tmp_path / "votes.db", tmp_path / "aside.db"
    file.rename(aside)
    away = forms(page)[-1].send(browser, headers=headers, choice=2, reason="dear")
    assert (away.status_code, heading(away)) == (503, "The study cannot be reached just now")
    assert "not saved yet" in away.text
    assert ("<html" in away.text) == (not headers)
    assert browser.get("/rate").status_code == 503
    aside.rename(file)
    assert heading(forms(away)[-1].send(browser)) == "Pair 2 of 3"
    assert [row[1:] for row in given(study)] == [(2, "dear")]


def test_refused_links(study):
    _, expired = study.invited(seconds=-1)
    rater, revoked = study.invited("r")
    study.store.now(revoke, rater, False, time.time())
    _, used = study.invited("u")
    first = study.browser()
    forms(first.get(used))[0].send(first)
    for link, status, words in (
        (expired, 410, "This link has expired"),
        (revoked, 410, "This link was taken back"),
        (used, 409, "This link was opened before"),
        (used[:-1] + ("A" if used[-2] != "A" else "B"), 403, "This link does not work here"),
        ("/i/x", 403, "This link does not work here"),
        ("/rate", 403, "This link does not work here"),
    ):
        page = study.browser().get(link)
        assert (page.status_code, heading(page)) == (status, words)
        assert "No vote was lost" in page.text


def test_refused_votes(tmp_path):
    with Study(tmp_path, pairs=2, ratings=1, lease_seconds=0.05) as study:
        late, page = study.at_work("late")
        time.sleep(0.06)
        quick, other = study.at_work("quick")
        assert forms(other)[-1].fields["item"] == forms(page)[-1].fields["item"]
        forms(other)[-1].send(quick, choice=1)
        refused = forms(page)[-1].send(late, choice=1)
        assert (refused.status_code, heading(refused)) == (409, "This pair has all its ratings")
        assert ">Go on with the next pair</a>" in refused.text
        again = forms(other)[-1].send(quick, choice=2)
        assert (again.status_code, heading(again)) == (409, "You have rated this pair before")
        strange = forms(page)[-1].send(late, choice=1, item="0000000000")
        assert (strange.status_code, heading(strange)) == (409, "This pair is not with you")
        part = forms(page)[-1].send(late, headers=HTMX, choice=1)
        assert (part.status_code, heading(part)) == (409, "This pair has all its ratings")
        assert "<html" not in part.text
        assert len(given(study)) == 1


def test_nothing_to_undo_is_said(study):
    browser, page = study.at_work()
    token = forms(page)[0].fields["csrf"]
    page = browser.post("/undo", data={"csrf": token})
    assert (page.status_code, heading(page)) == (409, "There is no vote to take back")
    assert given(study) == []
