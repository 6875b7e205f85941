"""Pictures of the pages for the guide, taken of a real server in a real browser.

They go to a temporary folder; `VENEER_PICTURES=docs/rating` writes them where the guide has them.
"""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from serving import browsing, picture_packet, rated, studied

PICTURES = Path(os.environ.get("VENEER_PICTURES", ""))
LARGEST = 150_000  # bytes
SIZES = {
    "welcome": (900, 720),
    "desktop": (1280, 900),
    "phone": (390, 844),
    "dark": (390, 844),
    "owner": (1280, 1130),
}
NOON = 1_772_452_800.0  # seconds since 1970


def careful(gold, pace, strays, reason=""):
    """A rater who mostly chooses as others do; on every ninth pair, from `strays` on, not."""

    def judge(pair, n):
        usual = (1, 2, 2, 1, 0)[int(pair.item, 16) % 5]
        choice = 1 if pair.item in gold else (usual + 1) % 3 if n % 9 == strays else usual
        return choice, pace + 7 * (n % 4), reason if n % 3 == 0 else ""

    return judge


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A study that nobody has rated in yet."""
    folder = tmp_path_factory.mktemp("fresh")
    with studied(picture_packet(folder / "packet", gold=0, ratings=9), folder) as served:
        yield served


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A study with several raters' votes, one of whom does not read."""
    folder = tmp_path_factory.mktemp("watched")
    with studied(picture_packet(folder / "packet", gold=8), folder) as served:
        gold = set(served.packet.gold)
        ends = [
            rated(served, "Ana", careful(gold, 38.0, 2, "Clearer."), 19, NOON - 5400),
            rated(served, "Ben", careful(gold, 51.0, 4), 17, NOON - 4000),
            rated(served, "desk 4", lambda pair, n: (2, 6.0, ""), 19, NOON - 2400),
            rated(served, "Émile", careful(gold, 44.0, 5), 12, NOON - 780),
        ]
        assert max(ends) < NOON
        served.invite("Fatou", NOON - 5400)
        served.app.state.site.clock = lambda: NOON
        yield served


@pytest.fixture
def folder(tmp_path):
    return PICTURES if os.environ.get("VENEER_PICTURES") else tmp_path


@contextmanager
def opened(browser, served, path, name, **settings):
    """A page in a browser of its own; what its console calls an error fails the test."""
    width, height = SIZES[name]
    context = browser.new_context(viewport={"width": width, "height": height}, **settings)
    wrong = []
    try:
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(served.address + path)
        yield page
        assert wrong == []
    finally:
        context.close()


def kept(page, name, folder):
    """Keep the picture, small; it is as large as it should be, not blank, and nothing sticks out."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    file = folder / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    small = Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    small.save(file, optimize=True)
    shown = Image.open(file)
    assert shown.size == SIZES[name]
    assert file.stat().st_size <= LARGEST
    commonest = max(count for count, _ in shown.convert("RGB").getcolors(64))
    assert commonest < 0.97 * shown.width * shown.height


def test_what_a_rater_is_told(browser, fresh, folder):
    with opened(browser, fresh, fresh.invite(), "welcome") as page:
        assert page.get_by_role("button", name="Start").is_visible()
        kept(page, "welcome", folder)


@pytest.mark.parametrize(("name", "votes"), [("desktop", 1), ("phone", 3), ("dark", 2)])
def test_a_pair(browser, fresh, folder, name, votes):
    settings = {"color_scheme": "dark"} if name == "dark" else {}
    if name != "desktop":
        settings |= {"has_touch": True, "is_mobile": True}
    with opened(browser, fresh, fresh.invite(), name, **settings) as page:
        page.get_by_role("button", name="Start").click()
        for number in range(1, votes + 1):
            page.get_by_role("heading", name=f"Pair {number} of").wait_for()
            page.get_by_role("button", name="Output 1 is better").click()
        page.get_by_role("heading", name=f"Pair {votes + 1} of").wait_for()
        kept(page, name, folder)


def test_the_owners_page(browser, watched, folder):
    with opened(browser, watched, watched.owner_link(), "owner") as page:
        page.get_by_role("button", name="Open the owner’s page").click()
        page.get_by_role("heading", name="Raters", exact=True).wait_for()
        assert page.get_by_text("fails attention checks").is_visible()
        kept(page, "owner", folder)
