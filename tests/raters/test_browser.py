"""The pages in a real browser: owner and raters together, keys, fingers, lost connections."""

import contextlib

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

from packets import small_packet
from playwright.sync_api import expect
from serving import browsing, studied
from watching import AtWork, watched

from veneer.raters.server import owner_watch
from veneer.raters.store import progress
from veneer.records import Vote

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def study(tmp_path):
    with studied(small_packet(tmp_path / "packet", pairs=5, ratings=2), tmp_path) as served:
        yield served


@pytest.fixture
def opened(browser, study):
    """Opens a browser of one's own; at the end, nothing may have gone wrong in any of them."""
    with contextlib.ExitStack() as stack:
        watches = []

        def page(*, meant=(), **settings):
            context = stack.enter_context(browser.new_context(**settings))
            page = context.new_page()
            page.set_default_timeout(5000)
            watches.append(watched(page, study.address, meant=meant))
            return page

        yield page
        assert watches == [[] for _ in watches]


@pytest.fixture(autouse=True)
def nothing_shared(monkeypatch):
    """The owner's page looks anew each time it is asked for."""
    monkeypatch.setattr(owner_watch, "SHARED_SECONDS", 0.0)
    monkeypatch.setattr(owner_watch, "REST", 0)


def votes_of(study):
    return study.store.seen(progress.votes)


def test_two_raters_and_the_owner_from_start_to_end(opened, study):
    owner = opened()
    owner.goto(study.address + study.owner_link())
    owner.get_by_role("button", name="Open the owner’s page").click()
    owner.get_by_label("Labels, one a line").fill("Ana\nBen <img src=x onerror=alert(1)>\nCleo")
    owner.get_by_role("button", name="Make invitation links").click()
    links = [box.input_value() for box in owner.locator("input.link").all()]
    assert len(set(links)) == 3
    assert all(link.startswith(f"{study.address}/i/") for link in links)
    owner.get_by_role("link", name="Back to the study").click()

    ana, ben = AtWork(opened(meant=("423",))), AtWork(opened(meant=("423",), **PHONE))
    cleo = AtWork(opened(meant=("410",)))
    for rater, link in zip((cleo, ana, ben), (links[2], links[0], links[1]), strict=True):
        rater.start(link)

    cleo.click(2)
    cleo.at(2)
    ana.click(1)
    ana.at(2)
    ana.key(2)
    ana.at(3)
    reasoned = ben.item
    ben.page.get_by_label("Why?").fill("The first says <b>why</b> & how.")
    ben.tap(0)
    ben.at(2)

    ana.page.get_by_role("button", name="Undo last vote").click()
    ana.at(2)
    expect(ana.button(2)).to_have_class("before")
    ana.voted -= 1
    ana.key(0)
    ana.at(3)

    owner.get_by_role("link", name="Refresh").click()
    expect(owner.locator(".so-far")).to_contain_text("4 of 10 votes")
    owner.get_by_role("button", name="Pause the study").click()
    expect(owner.get_by_role("status").first).to_contain_text("paused")
    ana.click(1)
    expect(ana.heading("The study is paused")).to_be_focused()
    ben.page.reload()
    expect(ben.heading("The study is paused")).to_be_visible()
    owner.get_by_role("button", name="Resume the study").click()
    ana.page.get_by_role("button", name="Send it again").click()
    ana.at(4)
    ben.page.get_by_role("link", name="Look again now").tap()
    ben.at(2)

    expect(owner.get_by_text("Ben <img src=x onerror=alert(1)>")).to_be_visible()
    owner.get_by_role("link", name="r3").click()
    owner.get_by_role("link", name="Revoke r3").click()
    owner.get_by_label("Discard them.").check()
    owner.get_by_role("button", name="Revoke r3").click()
    expect(owner.get_by_text("r3 is revoked")).to_be_visible()
    cleo.click(1)
    expect(cleo.heading("This link was taken back")).to_be_focused()

    while ana.voted < 5:
        ana.key((1, 2)[ana.voted % 2])
        if ana.voted < 5:
            ana.at(ana.voted + 1)
    while ben.voted < 5:
        ben.tap((2, 1)[ben.voted % 2])
        if ben.voted < 5:
            ben.at(ben.voted + 1)
    for rater in (ana, ben):
        expect(rater.heading("All done")).to_be_visible()

    owner.goto(f"{study.address}/owner")
    expect(owner.locator(".so-far")).to_contain_text("10 of 10 votes")
    with owner.expect_download() as download:
        owner.get_by_role("link", name="votes.jsonl").click()
    votes = [
        Vote.model_validate_json(line) for line in download.value.path().open(encoding="utf-8")
    ]
    assert {(vote.rater, vote.item): vote.choice for vote in votes} == {
        (name, item): choice
        for name, rater in (("r1", ana), ("r2", ben))
        for item, choice in rater.pressed.items()
    }
    reasons = {(vote.rater, vote.item): vote.reason for vote in votes if vote.reason}
    assert reasons == {("r2", reasoned): "The first says <b>why</b> & how."}
    assert all(vote.seconds > 0 for vote in votes)


def test_keys_vote_once_and_only_outside_of_the_text_field(opened, study):
    rater = AtWork(opened()).start(study.address + study.invite())
    page = rater.page
    page.get_by_label("Why?").press_sequentially("1 0 2 u 1")
    page.keyboard.press("Control+1")
    page.get_by_label("Why?").blur()
    page.keyboard.press("Control+1")
    page.keyboard.press("Alt+0")
    expect(page.get_by_label("Why?")).to_have_value("1 0 2 u 1")
    rater.at(1)
    assert votes_of(study) == []
    rater.key(1)
    rater.at(2)
    for _ in range(3):  # held down: the second and third press are repeats
        page.keyboard.down("2")
    rater.at(3)
    for _ in range(3):
        page.keyboard.down("2")
    page.keyboard.up("2")
    expect(rater.heading("Pair 3 of")).to_be_focused()
    page.keyboard.press("u")
    rater.at(2)
    expect(rater.button(2)).to_have_class("before")
    page.keyboard.press("u")
    rater.at(1)
    expect(page.get_by_label("Why?")).to_have_value("1 0 2 u 1")
    page.keyboard.press("2")
    rater.at(2)
    page.get_by_role("button", name="Shortcut keys").click()
    page.keyboard.press("1")
    page.keyboard.press("u")
    page.reload()
    page.keyboard.press("1")
    rater.at(2)
    assert [vote.choice for vote in votes_of(study)] == [2]


def test_a_double_click_votes_once(opened, study):
    rater = AtWork(opened()).start(study.address + study.invite())
    rater.pressed[rater.item] = 1
    rater.button(1).dblclick()
    rater.at(2)
    box = rater.button(1).bounding_box()
    rater.page.mouse.move(box["x"] + 20, box["y"] + 20)
    for count in (1, 2):  # slowly: the next pair is there when the second click comes
        rater.page.mouse.down(click_count=count)
        rater.page.mouse.up(click_count=count)
        rater.at(3)
    rater.click(2)
    rater.at(4)
    assert [vote.choice for vote in votes_of(study)] == [1, 1, 2]


def test_on_a_phone_all_can_be_reached_by_a_thumb(opened, study):
    rater = AtWork(opened(**PHONE)).start(study.address + study.invite())
    page = rater.page
    for number, choice in enumerate((1, 2), start=2):
        rater.tap(choice)
        rater.at(number)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("scrollY") == 0
    small = page.evaluate(
        "[...document.querySelectorAll('main button, main summary, textarea')]"
        ".map(e => [e.innerText, e.getBoundingClientRect()])"
        ".filter(([_, r]) => r.height < 44 || r.width < 44).map(([text]) => text)"
    )
    assert small == []
    page.get_by_text("How to decide").tap()
    expect(page.get_by_text("Clarity:")).to_be_visible()
    assert page.locator("kbd").first.is_hidden()
    assert len(votes_of(study)) == 2


def test_what_was_written_outlives_a_lost_connection(opened, study):
    rater = AtWork(opened(meant=("ERR_INTERNET_DISCONNECTED", "htmx:")))
    page = rater.start(study.address + study.invite()).page
    page.get_by_label("Why?").fill("Dear to me.")
    page.context.set_offline(True)
    rater.button(2).click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(page.get_by_label("Why?")).to_have_value("Dear to me.")
    page.context.set_offline(False)
    rater.button(2).click()
    rater.at(2)
    assert [(vote.choice, vote.reason) for vote in votes_of(study)] == [(2, "Dear to me.")]


def test_two_tabs_of_one_rater_do_not_vote_twice(opened, study):
    rater = AtWork(opened(meant=("409",))).start(study.address + study.invite())
    tab = AtWork(rater.page.context.new_page())
    tab.page.goto(f"{study.address}/rate")
    assert tab.item == rater.item
    rater.click(1)
    rater.at(2)
    tab.click(2)
    expect(tab.heading("You have rated this pair before")).to_be_focused()
    tab.page.get_by_role("link", name="Go on").click()
    tab.at(2)
    rater.page.go_back()
    rater.page.goto(f"{study.address}/rate")
    rater.at(2)
    assert [vote.choice for vote in votes_of(study)] == [1]
