"""axe-core finds no violation on any page for raters and workers: light and dark, on a phone."""

import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

from axe_playwright_python.base import AXE_FILE_PATH
from packets import small_packet
from playwright.sync_api import expect
from serving import browsing, studied
from watching import AtWork

from veneer.raters.server import links
from veneer.raters.store import crowds, people, progress, voting

AXE = AXE_FILE_PATH.read_text("utf-8")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
"""The rules whose answer may change with colours and size; the others are asked once a page."""
RUN = """rules => axe.run(
  rules ? { runOnly: { type: 'rule', values: rules } }
        : { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }
).then(found => ({
  passes: found.passes.length,
  violations: found.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html + ' ' + n.failureSummary)]),
}))"""

OUTPUTS = (
    """# Heading

Text with **bold**, `code`, ~~struck~~, a [link](https://example.org 'title') and ![an image](x.png).

> A quotation

1. one
   - deeper

| a | wide | table |
|:--|:-:|--:|
| """
    + "cell " * 60
    + """ | b | c |

```python
a_long_line = "of code" * 100  # """
    + "x" * 200
    + """
```

***

هذه إجابة \u202e بالعربية"""
)


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def study(tmp_path):
    packet = small_packet(
        tmp_path / "p", pairs=3, ratings=2, outputs=lambda n: (OUTPUTS, f"Short {n}.")
    )
    with studied(packet, tmp_path) as served:
        yield served


@pytest.fixture
def page(browser):
    with browser.new_context(bypass_csp=True, viewport=DESKTOP, reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(5000)
        yield page


def sound(page, heading):
    """No violation on the page with this heading: in light, and in dark on a phone."""
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    page.evaluate(AXE)
    found = {"light": page.evaluate(RUN, None)}
    assert found["light"]["passes"] >= 12, heading
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    found["dark phone"] = page.evaluate(RUN, LOOKS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), heading
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESKTOP)
    told = {look: one["violations"] for look, one in found.items() if one["violations"]}
    assert told == {}, heading


def test_a_raters_pages(page, study):
    link = study.address + study.invite()
    page.goto(link)
    sound(page, "Comparing answers")
    rater = AtWork(page).start(link)
    sound(page, "Pair 1 of 3")
    page.get_by_label("Why?").fill("A reason")
    rater.click(2)
    rater.at(2)
    sound(page, "Pair 2 of 3")
    page.get_by_role("button", name="Undo last vote").click()
    rater.at(1)
    expect(rater.button(2)).to_have_class("before")
    rater.button(2).hover()
    sound(page, "Pair 1 of 3")
    page.context.set_offline(True)
    rater.button(1).click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.context.set_offline(False)
    sound(page, "Pair 1 of 3")
    rater.click(1)
    rater.at(2)
    study.store.now(progress.pause, True)
    rater.click(1)
    sound(page, "The study is paused")
    page.goto(f"{study.address}/rate")
    sound(page, "The study is paused")


def test_the_ends_of_a_raters_way(page, tmp_path):
    with studied(small_packet(tmp_path / "p", pairs=2, ratings=1), tmp_path) as study:
        cookie, now = links.hash_of("another browser"), time.time()
        link = links.hash_of(study.invite("another").rpartition("/")[2])
        study.store.now(people.begin, link, cookie, now)
        _, first = study.store.now(voting.seen_now, cookie, now)
        rater = AtWork(page).start(study.address + study.invite())
        rater.click(1)
        sound(page, "No pair for you just now")
        study.store.now(voting.vote_and_next, cookie, first.item, 1, "", now)
        page.get_by_role("link", name="Look again").click()
        sound(page, "All done")


def test_pages_of_refusals(page, study):
    used, expired = study.invite("used"), study.invite("expired", now=time.time() - 200_000)
    study.store.now(people.begin, links.hash_of(used[3:]), "0" * 64, time.time())
    for path, heading in (
        (used, "was opened before"),
        (expired, "has expired"),
        ("/rate", "does not work here"),
        ("/nowhere", "no such page"),
        ("/owner", "not the owner"),
    ):
        page.goto(study.address + path)
        sound(page, heading)


def test_pages_of_crowds(page, study):
    asked = {
        "mturk": "workerId=AWORKER12&assignmentId=AN0THER1&turkSubmitTo=https%3A%2F%2Fworkersandbox.mturk.com",
        "prolific": f"PROLIFIC_PID={'a1' * 12}&SESSION_ID={'c3' * 12}",
    }
    for kind, given in asked.items():
        token = links.new_link(study.store.secret, "crowd")
        facts = {"code": "C0DE", "token": token}
        study.store.now(crowds.add_campaign, kind, links.hash_of(token), 1, facts, time.time())
        entrance = f"{study.address}/c/{token}"
        page.goto(entrance)
        sound(page, "Please come from")
        if kind == "mturk":
            page.goto(f"{entrance}?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
            sound(page, "Comparing answers")
        page.goto(f"{entrance}?{given}")
        sound(page, "Comparing answers")
        page.get_by_role("button", name="Start").click()
        AtWork(page).click(1)
        page.wait_for_url("**/finished")
        sound(page, "All done")
