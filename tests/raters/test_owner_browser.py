"""The owner's pages in a browser: accessible, without JavaScript, by keyboard, and live."""

import json
import time

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from serving import browsing, picture_packet, rated, studied

from veneer.raters.server import owner_watch
from veneer.raters.store import progress

AXE = AXE_FILE_PATH.read_text("utf-8")
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def served(tmp_path):
    with studied(picture_packet(tmp_path / "packet"), tmp_path) as served:
        now = time.time() - 1500
        rated(served, "Ana", lambda pair, n: (1 + n % 2, 30.0, ""), 8, now)
        rated(served, "desk 4", lambda pair, n: (2, 3.0, ""), 20, now)
        yield served


@pytest.fixture
def page_of(browser, served):
    """Opens a page of the owner in a browser of its own."""
    contexts = []

    def opened(path="/owner", **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        cookies = served.owner_cookie().items()
        context.add_cookies([{"name": k, "value": v, "url": served.address} for k, v in cookies])
        page = context.new_page()
        page.set_default_timeout(5000)
        page.goto(served.address + path)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_axe_finds_nothing(page_of, served, viewport, scheme):
    page = page_of(viewport=viewport, color_scheme=scheme, bypass_csp=True)

    def sound(name):
        page.evaluate(AXE)
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        told = [(one["id"], one["nodes"][0]["html"]) for one in found]
        assert told == [], f"{name}: {json.dumps(told, indent=1)}"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name

    for path in ("/owner/raters/2", "/owner/raters/2/forget", "/owner"):
        page.goto(served.address + path)
        sound(path)
    page.get_by_label("Labels, one a line").fill("Cleo\nDario")
    page.get_by_role("button", name="Make invitation links").click()
    page.get_by_role("heading", name="2 invitation links").wait_for()
    sound("links")
    page.goto(served.address + served.owner_link())
    sound("entrance")


def test_everything_without_javascript(page_of, served):
    page = page_of(java_script_enabled=False)
    page.get_by_role("button", name="Pause the study").click()
    assert page.get_by_role("status").inner_text().startswith("The study is paused")
    page.get_by_role("button", name="Resume the study").click()
    page.get_by_label("Labels, one a line").fill("Cleo")
    page.get_by_role("button", name="Make invitation links").click()
    link = page.get_by_label("Link of r3, Cleo").input_value()
    assert "/i/" in link
    assert not page.get_by_role("button", name="Copy").is_visible()
    page.get_by_role("link", name="Back to the study").click()
    page.get_by_role("link", name="r2").click()
    assert page.get_by_text("leans to output 2").is_visible()
    page.get_by_role("link", name="Revoke r2").click()
    page.get_by_label("Discard them.").check()
    page.get_by_role("button", name="Revoke r2").click()
    assert "votes are discarded" in page.get_by_role("status").inner_text()
    states = served.store.seen(progress.raters, time.time())
    assert [(one.label, one.votes) for one in states] == [("Ana", 7), ("desk 4", 0), ("Cleo", 0)]


def test_by_keyboard_alone(page_of, served):
    page = page_of()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(e => e.labels?.[0]?.innerText ?? (e.ariaLabel || e.innerText || e.id))"
            "(document.activeElement)"
        )
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle != 'none'")
        assert outline, name
        seen.append(name)
        if name == "Make invitation links":
            break
    assert seen[0] == "Skip to the content"
    for name in ("Pause the study", "Refresh", "r1", "r2"):
        assert name in seen
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="3 invitation links").wait_for()
    assert len(served.store.seen(progress.raters, time.time())) == 5


def test_progress_comes_by_itself_and_keeps_the_focus(page_of, served, monkeypatch):
    monkeypatch.setattr(owner_watch, "SHARED_SECONDS", 0.0)
    monkeypatch.setattr(owner_watch, "REST", 0)
    page = page_of("/health")
    page.clock.install()
    page.goto(f"{served.address}/owner")
    page.get_by_role("link", name="r1").focus()
    before = served.store.seen(progress.state, time.time()).votes
    assert page.locator(".count").inner_text() == str(before)
    rated(served, "Cleo", lambda pair, n: (0, 20.0, ""), 5, time.time() - 300)
    after = served.store.seen(progress.state, time.time()).votes
    assert after > before
    page.clock.fast_forward(5000)
    page.locator(".count").filter(has_text=str(after)).wait_for()
    page.clock.fast_forward(25000)
    page.get_by_text("Cleo").wait_for()
    assert page.evaluate("document.activeElement.id") == "rater-1"
    assert not page.locator("#stale").is_visible()
    served.owner_link()  # this browser is the owner's no longer
    page.clock.fast_forward(5000)
    page.locator("#stale").wait_for()
    assert page.locator(".count").inner_text() == str(after)
