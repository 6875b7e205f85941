"""Outputs of all kinds of malice in a real browser: nothing runs, moves, is fetched or covered."""

import re

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

from hostile import AWAY, KINDS, SPREADING, hostile, last_word
from packets import small_packet
from playwright.sync_api import expect
from serving import browsing, studied
from watching import watched

from veneer.raters.packet import write_packet
from veneer.raters.server.limits import Rate
from veneer.raters.server.rendering import plain, rendered
from veneer.raters.store import progress

ELEMENTS = {
    "p",
    "br",
    "hr",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre",
    "code",
    "em",
    "strong",
    "s",
    "div",
    "span",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ATTRIBUTES = {"dir", "class", "start", "tabindex"}
CLASSES = {"link", "address", "image", "mark", "plain", "table", "info", "left", "center", "right"}

SHOWN = [list(KINDS)[n::4] for n in range(4)]
"""The kinds, in parts, so that no test takes long."""
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
QUICK = Rate(per_second=10_000, burst=10_000)

INSIDE = """html => {
  const page = new DOMParser().parseFromString('<main id="box">' + html + '</main><i id="after"></i>', 'text/html');
  const box = page.getElementById('box');
  const all = [...box.querySelectorAll('*')];
  return {
    tags: [...new Set(all.map(e => e.localName))],
    strange: all.filter(e => e.namespaceURI !== 'http://www.w3.org/1999/xhtml').length,
    attributes: [...new Set(all.flatMap(e => e.getAttributeNames()))],
    classes: [...new Set(all.flatMap(e => [...e.classList]))],
    dirs: [...new Set(all.filter(e => e.hasAttribute('dir')).map(e => e.getAttribute('dir')))],
    starts: [...new Set(all.map(e => e.getAttribute('start') ?? '0'))],
    whole: page.body.children.length === 2 && page.body.children[1].id === 'after' && !page.head.children.length,
    text: box.textContent,
  };
}"""

OUTSIDE = """() => {
  const copy = document.documentElement.cloneNode(true);
  for (const said of copy.querySelectorAll('.said')) said.replaceChildren();
  for (const gone of copy.querySelectorAll('.undo, .where > *, #said, title')) gone.remove();
  copy.querySelector('[name=item]').value = '';
  copy.querySelector('.pair').removeAttribute('data-said');
  copy.querySelector('.how').removeAttribute('open');
  const box = e => { const r = e.getBoundingClientRect(); return [r.x, r.width]; };
  const heading = [...document.querySelectorAll('.pair h1, .pair h2')];
  const style = e => { const s = getComputedStyle(e); return [s.color, s.fontSize, s.opacity, s.position]; };
  const buttons = [...document.querySelectorAll('.buttons button')];
  return {
    markup: copy.outerHTML.replace(/\\s+/g, ' '),
    across: [...document.querySelectorAll('.top, .prompt, .output, .choices, .reason, .buttons button, .said')].map(box),
    looks: [document.body, ...heading, ...buttons].map(style),
    globals: [typeof document.getElementById, typeof document.body.append, typeof htmx.process, location.pathname],
  };
}"""

IN_ITS_BOX = """words => {
  const wrong = [];
  const check = (right, what) => { if (!right) wrong.push(what); };
  const saids = [...document.querySelectorAll('.said')];
  check(saids.length === 3, 'three boxes');
  check(document.documentElement.scrollWidth <= document.documentElement.clientWidth, 'page scrolls sideways');
  const rects = ['.top', '.where', '.prompt', '.outputs', '.reason'].map(s => document.querySelector(s).getBoundingClientRect());
  for (let n = 1; n < rects.length; n++) check(rects[n - 1].bottom <= rects[n].top + 1, 'parts overlap at ' + n);
  const [one, two] = [...document.querySelectorAll('.output')].map(e => e.getBoundingClientRect());
  check(one.right < two.left || one.bottom < two.top, 'outputs overlap');
  for (const said of saids) {
    const a = said.getBoundingClientRect(), b = said.parentElement.getBoundingClientRect();
    check(a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom, 'a text leaves its part');
  }
  saids.forEach((said, n) => {
    const walk = document.createTreeWalker(said, NodeFilter.SHOW_TEXT);
    let found = null;
    while (walk.nextNode()) if (walk.currentNode.data.includes(words[n])) found = walk.currentNode;
    if (!found) return check(false, 'lost ' + words[n]);
    found.parentElement.scrollIntoView({ block: 'end', inline: 'nearest', behavior: 'instant' });
    const range = document.createRange();
    const at = found.data.indexOf(words[n]);
    range.setStart(found, at);
    range.setEnd(found, at + words[n].length);
    const r = range.getBoundingClientRect();
    const hit = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
    check(r.height >= 10 && r.width >= 30 && hit && said.contains(hit), 'unreadable ' + words[n] + JSON.stringify(r) + hit?.outerHTML.slice(0, 80));
    const boxes = saids.map(s => s.getBoundingClientRect());
    for (let y = 5; y < innerHeight; y += 80) for (let x = 5; x < innerWidth; x += 120) {
      if (boxes.some(b => x >= b.left - 1 && x <= b.right + 1 && y >= b.top - 1 && y <= b.bottom + 1)) continue;
      check(!document.elementFromPoint(x, y)?.closest('.said'), 'a text covers ' + x + ',' + y);
    }
  });
  const buttons = [...document.querySelectorAll('.buttons button')];
  check(buttons.length === 3 && document.querySelectorAll('main form').length <= 2, 'buttons and forms');
  for (const button of buttons) {
    button.scrollIntoView({ block: 'nearest', behavior: 'instant' });
    const r = button.getBoundingClientRect();
    const hit = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
    check(hit?.closest('button') === button && !button.disabled, 'covered button ' + button.value);
  }
  check(window.ran === undefined && frames.length === 0, 'something ran');
  return wrong;
}"""


def inside(found, kind):
    """Whether only allow-listed elements and attributes stand in a box."""
    assert set(found["tags"]) <= ELEMENTS, kind
    assert set(found["attributes"]) <= ATTRIBUTES, kind
    assert set(found["classes"]) <= CLASSES, kind
    assert set(found["dirs"]) <= {"auto"}, kind
    assert all(re.fullmatch("[0-9]{1,9}", start) for start in found["starts"]), kind
    assert found["strange"] == 0, kind


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


def study_of(kinds, folder):
    """A plain pair, then two kinds a pair as its outputs, and a third as its prompt."""
    two = list(zip(kinds[::2], [*kinds[1::2], kinds[0]], strict=False))
    made = small_packet(folder / "plain", pairs=len(two) + 1)
    rows = [made.pairs[0]]
    for n, (pair, (one, other)) in enumerate(zip(made.pairs[1:], two, strict=True)):
        texts = {
            "prompt": hostile(two[n - 1][n % 2]),
            "output_1": hostile(one),
            "output_2": hostile(other),
        }
        rows.append(pair.model_copy(update=texts))
    title = f"</title><img src=x onerror={AWAY}> {{{{ 7*7 }}}}"
    facts = made.facts.model_copy(update={"title": title, "ratings": 1})
    return write_packet(folder / "hostile", facts, rows, list(made.keys.values()), []), two


@pytest.mark.parametrize("kinds", [*SHOWN, SPREADING], ids=[*"abcd", "phone"])
def test_hostile_outputs_do_nothing_and_stay_in_their_box(browser, tmp_path, kinds):
    packet, two = study_of(kinds, tmp_path)
    size = PHONE if kinds is SPREADING else {}
    with studied(packet, tmp_path, votes=QUICK) as served, browser.new_context(**size) as context:
        page = context.new_page()
        seen = watched(page, served.address)
        page.goto(served.address + served.invite())
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", name="Pair 1 of")).to_be_visible()
        page.wait_for_load_state("load")  # htmx among what was loaded
        as_ever = page.evaluate(OUTSIDE)
        pressed = []
        for n, shown in enumerate(zip([two[-1], *two], two, strict=False)):
            pressed.append(n % 3)
            page.locator(f".buttons button[value='{n % 3}']").click()
            expect(page.get_by_role("heading", name=f"Pair {n + 2} of")).to_be_focused()
            assert page.evaluate(OUTSIDE) == as_ever, shown
            words = [last_word(shown[0][n % 2]), *map(last_word, shown[1])]
            assert page.evaluate(IN_ITS_BOX, words) == [], shown
        page.keyboard.press("2")
        expect(page.get_by_role("heading", name="pair")).to_have_count(0)
        assert seen == []
        votes = {vote.item: vote.choice for vote in served.store.seen(progress.votes)}
        assert [votes[pair.item] for pair in packet.pairs] == [*pressed, 2]


def test_only_harmless_elements_are_made_of_any_text(browser, tmp_path):
    """As a browser parses them: rendered and as written, every kind, wherever it stands."""
    with browser.new_context() as context:
        page = context.new_page()
        for kind in KINDS:
            for made in [rendered] if len(KINDS[kind]) > 10_000 else [rendered, plain]:
                found = page.evaluate(INSIDE, made(hostile(kind)))
                inside(found, kind)
                assert found["whole"], kind
                assert found["text"].rstrip().endswith(last_word(kind)), kind
        assert page.evaluate("window.ran") is None


def test_numbers_of_right_to_left_lists_are_seen(browser, tmp_path):
    lists = "1. عربي\n2. עברית\n\n- one\n- two"
    packet = small_packet(tmp_path / "p", pairs=1, outputs=lambda n: (lists, "x"))
    with studied(packet, tmp_path) as served, browser.new_context() as context:
        page = context.new_page()
        page.goto(served.address + served.invite())
        page.get_by_role("button", name="Start").click()
        room = page.locator(".said li").evaluate_all(
            """items => items.map(li => {
              const at = li.getBoundingClientRect(), box = li.closest('.said').getBoundingClientRect();
              return getComputedStyle(li).direction === 'rtl' ? box.right - at.right : at.left - box.left;
            })"""
        )
        assert len(room) == 4
        assert min(room) >= 24  # pixels, where the number or the dot stands
