"""The pages without JavaScript, and by keyboard alone."""

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

WIDE = "| " + " | ".join(["a long heading"] * 20) + " |\n|" + "---|" * 20 + "\n"
LONG = "\n\n".join(f"Paragraph {n} of a long output." for n in range(60))


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def opened(browser):
    with contextlib.ExitStack() as stack:
        watches = []

        def page(served, **settings):
            page = stack.enter_context(browser.new_context(**settings)).new_page()
            page.set_default_timeout(5000)
            watches.append(watched(page, served.address, meant=("423",)))
            return page

        yield page
        assert watches == [[] for _ in watches]


def outputs(n):
    return f"{LONG}\n\n{WIDE}", f"Short {n}.\n\n```\n{'long line of code ' * 30}\n```"


def votes_of(served):
    return {(v.rater, v.item): (v.choice, v.reason) for v in served.store.seen(progress.votes)}


def test_the_whole_study_without_javascript(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(owner_watch, "SHARED_SECONDS", 0.0)
    monkeypatch.setattr(owner_watch, "REST", 0)
    with studied(small_packet(tmp_path / "p", pairs=3, gold=1, ratings=2), tmp_path) as served:
        owner = opened(served, java_script_enabled=False)
        owner.goto(served.address + served.owner_link())
        owner.get_by_role("button", name="Open the owner’s page").click()
        owner.get_by_label("Or this many links").fill("2")
        owner.get_by_role("button", name="Make invitation links").click()
        links = [box.input_value() for box in owner.locator("input.link").all()]
        owner.get_by_role("link", name="Back to the study").click()
        ana, ben = (AtWork(opened(served, java_script_enabled=False)).start(a) for a in links)
        expected = {}

        def vote(rater, name, choice, reason=""):
            assert not rater.page.get_by_role("button", name="Shortcut keys").is_visible()
            expected[name, rater.item] = (choice, reason)
            rater.page.get_by_label("Why?").fill(reason)
            rater.click(choice)

        vote(ana, "r1", 1, "One.")
        ana.at(2)
        undone = list(expected)[-1]
        ana.page.get_by_role("button", name="Undo last vote").click()
        ana.at(1)
        assert ("r1", ana.item) == undone
        expect(ana.page.get_by_label("Why?")).to_have_value("One.")
        expect(
            ana.page.get_by_role("button", name="Output 1 is better (your choice before)")
        ).to_be_visible()
        vote(ana, "r1", 2, "Two </textarea><script>alert(1)</script>")
        ana.at(2)
        ana.page.get_by_role("button", name="Undo last vote").click()
        expect(ana.page.get_by_label("Why?")).to_have_value(
            "Two </textarea><script>alert(1)</script>"
        )
        vote(ana, "r1", 0, "")

        owner.get_by_role("button", name="Pause the study").click()
        ana.at(2)
        vote(ana, "r1", 1, "Kept in a pause")
        expect(ana.heading("The study is paused")).to_be_visible()
        owner.get_by_role("button", name="Resume the study").click()
        ana.page.get_by_role("button", name="Send it again").click()
        for number in (3, 4):
            ana.at(number)
            vote(ana, "r1", 2)
        expect(ana.heading("All done")).to_be_visible()
        for number in range(1, 5):
            ben.at(number)
            vote(ben, "r2", number % 3)
        expect(ben.heading("All done")).to_be_visible()
        ben.page.get_by_role("button", name="Undo last vote").click()
        ben.at(4)
        vote(ben, "r2", 2, "On second thoughts.")
        expect(ben.heading("All done")).to_be_visible()

        study = {key: said for key, said in expected.items() if key[1] not in served.packet.gold}
        assert votes_of(served) == study
        owner.goto(f"{served.address}/owner")
        expect(owner.locator(".so-far")).to_contain_text("6 of 6 votes")


FOCUSED = """() => {
  const at = document.activeElement;
  if (at === document.body) return null;
  const box = at.getBoundingClientRect();
  const style = getComputedStyle(at);
  const spots = [[.5, .5], [.1, .5], [.9, .5], [.5, .2], [.5, .8]].map(([x, y]) =>
    document.elementFromPoint(box.left + box.width * x, box.top + box.height * y));
  return {
    name: at.labels?.[0]?.innerText ?? at.ariaLabel ?? at.innerText.trim().split('\\n')[0],
    tag: at.localName,
    top: box.top + scrollY,
    outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    seen: spots.some(spot => spot && (at === spot || at.contains(spot))),
    boxed: at.matches('.said *'),
  };
}"""


def tabbed(page, key="Tab", most=40):
    """What takes the focus, one after another, until it leaves the page."""
    stops = []
    for _ in range(most):
        page.keyboard.press(key)
        stop = page.evaluate(FOCUSED)
        if stop is None:
            return stops
        assert stop["outline"], f"no outline on {stop['name']}"
        assert stop["seen"], f"{stop['name']} has the focus and is hidden"
        stops.append(stop)
    raise AssertionError("the focus is caught")


@pytest.mark.parametrize("height", [900, 600])
def test_the_focus_goes_down_the_page_and_is_always_seen(opened, tmp_path, height):
    packet = small_packet(tmp_path / "p", pairs=3, outputs=outputs)
    with studied(packet, tmp_path) as served:
        page = opened(served, viewport={"width": 1100, "height": height})
        page.goto(served.address + served.invite())
        assert [stop["name"] for stop in tabbed(page)] == ["Skip to the content", "Start"]
        page.get_by_role("button", name="Start").press("Enter")
        rater = AtWork(page)
        rater.at(1)
        page.keyboard.press("1")
        expect(rater.heading("Pair 2 of")).to_be_focused()
        down = tabbed(page)
        names = [stop["name"] for stop in down if not stop["boxed"]]
        assert names == [
            "Undo last vote",
            "How to decide",
            "Why? (optional; write it before you choose)",
            "Output 1 is better",
            "The same",
            "Output 2 is better",
        ]
        assert sum(stop["boxed"] for stop in down) == 2  # the wide table, the long line of code
        fixed = [stop for stop in down if stop["tag"] != "button" and not stop["boxed"]]
        assert [stop["top"] for stop in fixed] == sorted(stop["top"] for stop in fixed)
        page.reload()
        rater.at(2)
        start = [stop["name"] for stop in tabbed(page)]
        assert start[:2] == ["Skip to the content", "Shortcut keys"]
        back = [stop["name"] for stop in tabbed(page, "Shift+Tab")]
        assert back == start[::-1]


def test_all_of_it_by_keyboard_alone(opened, tmp_path):
    with studied(small_packet(tmp_path / "p", pairs=6), tmp_path) as served:
        page = opened(served)
        rater = AtWork(page)

        def to(name, key="Tab"):
            for _ in range(20):
                page.keyboard.press(key)
                if (page.evaluate(FOCUSED) or {"name": ""})["name"].startswith(name):
                    return
            raise AssertionError(f"{name} is not reached")

        page.goto(served.address + served.invite())
        to("Start")
        page.keyboard.press("Enter")
        rater.at(1)
        expected = []
        items = []
        for number, (press, choice) in enumerate(
            [("Enter", 1), ("Space", 0), ("Enter", 2), ("key", 2)], start=1
        ):
            items.append(rater.item)
            if press == "key":
                page.keyboard.press(str(choice))
            else:
                to("Why?")
                page.keyboard.type(f"Because {number} & 102u")
                page.keyboard.press("Tab")
                if choice != 1:
                    to({0: "The same", 2: "Output 2"}[choice])
                for _ in range(3 if press == "Enter" else 1):  # held: the rest are repeats
                    page.keyboard.down(press)
                page.keyboard.up(press)
            expected.append((choice, f"Because {number} & 102u" if press != "key" else ""))
            expect(rater.heading(f"Pair {number + 1} of")).to_be_focused()
            assert page.evaluate("scrollY") == 0
            expect(page.locator("#said")).to_have_text(f"Saved. Pair {number + 1} of 6.")
        to("Undo last vote")
        page.keyboard.press("Enter")
        expect(rater.heading("Pair 4 of")).to_be_focused()
        page.keyboard.press("u")
        expect(rater.heading("Pair 3 of")).to_be_focused()
        expect(page.locator("#said")).to_have_text("Taken back. Pair 3 of 6.")
        to("How to decide")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Clarity:")).to_be_visible()
        to("Why?")
        page.keyboard.press("Control+a")
        page.keyboard.type("Changed")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("0")
        expect(rater.heading("Pair 4 of")).to_be_focused()
        expected[2:] = [(0, "Changed")]
        votes = votes_of(served)
        assert [votes["r1", item] for item in items[:3]] == expected
        assert len(votes) == 3
