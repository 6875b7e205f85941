"""What a rater or a worker of a crowd can reach names nobody, and gives no side and no check away."""

import base64
import hashlib
import re
import time
from urllib.parse import quote, urljoin, urlsplit

import pytest

pytest.importorskip("fastapi")

import httpx
from bs4 import BeautifulSoup
from packets import STUDENT, TEACHER, small_packet
from serving import studied

from veneer.raters.packet import read_packet, write_packet
from veneer.raters.server import links
from veneer.raters.server.limits import Rate
from veneer.raters.store import crowds, progress

RUN, FOLDER, FILE = "narwhal-run", "wombat-packet", "ocelot-votes"
CATEGORY = "pangolin-category"
QUICK = Rate(per_second=10_000, burst=10_000)
ADDRESSES = ("href", "src", "action", "formaction", "hx-get", "hx-post", "hx-put", "hx-delete")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE")


@pytest.fixture
def study(tmp_path):
    """Pairs of very different outputs and attention checks, with names wherever an owner has any."""
    folder = tmp_path / RUN / FOLDER
    folder.parent.mkdir()
    made = small_packet(tmp_path / "made", pairs=5, gold=2, ratings=4, outputs=outputs)
    keys = [key.model_copy(update={"category": CATEGORY}) for key in made.keys.values()]
    facts = made.facts.model_copy(update={"made_from": f"runs/{RUN}", "dropped": {RUN: 3}})
    order = [made.pairs[n] for n in (5, 0, 1, 6, 2, 3, 4)]
    write_packet(folder, facts, order, keys, [])
    url = f"sqlite:///{folder.parent}/{FILE}.db"
    settings = {"votes": QUICK, "failed_links": QUICK}
    with studied(read_packet(folder), tmp_path, url, **settings) as served:
        yield served


def outputs(n):
    kinds = [
        "plain",
        "",
        "# Heading\n\n- list\n  - deeper\n\n```py\ncode\n```",
        "| a | b |\n|:-|-:|\n| 1 | 2 |\n\n> quote",
        "عربي \u202e <script>x</script>\n\n![a](b)",
        "word " * 15_000,
        "1. one\n2. two\n\n***\n[link](http://x.test 'y')",
    ]
    return kinds[n], kinds[(n * 3 + 1) % len(kinds)]


def needles(served):
    """What must not be told: names, files, the digest, and these in the usual codings."""
    names = [STUDENT, TEACHER, RUN, FOLDER, FILE, CATEGORY, "sqlite", "postgres"]
    names += [
        served.packet.facts.digest,
        served.packet.facts.digest[:16],
        served.store.secret.hex(),
    ]
    names += [str(served.store.salt.hex()), "votes.db", "packet.json", "site-packages", "traceback"]
    coded = [quote(name, safe="") for name in names]
    for name in (STUDENT, TEACHER, RUN):
        data = name.encode()
        coded += [base64.b64encode(data).decode().rstrip("=")[:-1], data.hex(), name[::-1]]
        coded += [getattr(hashlib, way)(data).hexdigest()[:12] for way in ("md5", "sha1", "sha256")]
    return {needle.lower() for needle in (*names, *coded)}


class Crawler:
    """A browser without scripts that asks for all it hears of, and keeps every answer."""

    def __init__(self, served):
        self.served, self.heard = served, []
        hooks = {"response": [self.keep]}
        self.http = httpx.Client(
            base_url=served.address, follow_redirects=True, trust_env=False, event_hooks=hooks
        )

    def keep(self, answer):
        answer.read()
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
        where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
        self.heard.append((where, f"{head}\n\n{answer.text}"))
        to = answer.headers.get("Location")
        assert to is None or urljoin(self.served.address, to).startswith(self.served.address), where

    def crawl(self, *starts):
        """Get every page and asset that can be reached from here; pages by their path."""
        waiting, seen = list(starts), {}
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            for headers in ({"HX-Request": "true"}, {"Accept": "application/json"}, {}):
                seen[path] = self.http.get(path, headers=headers)
            if "html" not in seen[path].headers.get("Content-Type", ""):
                continue
            for tag in BeautifulSoup(seen[path].text, "html.parser").find_all(True):
                for name in (*ADDRESSES, *(f"data-{name}" for name in ADDRESSES)):
                    to = urljoin(str(seen[path].url), tag.get(name) or "")
                    if to.startswith(self.served.address):
                        waiting.append(urlsplit(to)._replace(fragment="").geturl())
        return seen

    def knock(self, token):
        """Ask every route of the application, by every method, with what may and may not be."""
        junk = ("1", token, "..%2f..%2fpacket.json", "\u00e9'\"<x>%00")
        for path in routes(self.served.app):
            for n, value in enumerate(junk if "{" in path else junk[:1]):
                there = re.sub(r"\{[^}]*\}", quote(value, safe="%"), path)
                for method in ("GET", "POST") if n else METHODS:
                    data = {"item": "x", "choice": "9"} if method == "POST" else None
                    self.http.request(method, there, data=data)

    def press(self, page, **fields):
        """Send a page's form: the one with a choice if there is one, else the last."""
        form = next(
            (f for f in page_of(page).find_all("form") if f.find("button", value="1")), None
        )
        form = form or page_of(page).find_all("form")[-1]
        given = {i["name"]: i.get("value", "") for i in form.find_all(["input", "textarea"])}
        return self.http.post(urljoin(str(page.url), form.get("action") or ""), data=given | fields)


def routes(app):
    for route in app.routes:
        included = getattr(route, "original_router", None)
        yield from [route.path] if included is None else (inner.path for inner in included.routes)


def page_of(answer):
    return BeautifulSoup(answer.text, "html.parser")


def tells_nothing(crawler):
    words = needles(crawler.served)
    for where, text in crawler.heard:
        low = text.lower()
        assert [word for word in words if word in low] == [], where


def test_a_rater_can_reach_nothing_that_names_anybody(study):
    crawler, path = Crawler(study), study.invite("somebody-labelled")
    other = Crawler(study)
    page = crawler.crawl(path)[path]
    crawler.knock(path.rpartition("/")[2])
    page = crawler.press(page)
    assert "Output 1" in page.text
    pressed = 0
    while page_of(page).find("button", value="2"):
        crawler.crawl(str(page.url), "/static/owner.css", "/nowhere", "/favicon.ico", "/robots.txt")
        if pressed == 2:
            crawler.knock(path.rpartition("/")[2])
            crawler.press(page, item="0" * 10, choice="1")
            crawler.press(page, choice="7")
            crawler.press(page, choice="1", csrf="0")
            crawler.press(page, choice="1", reason="x" * 100_000)
            study.store.now(progress.pause, True)
            crawler.press(page, choice="1")
            crawler.crawl("/rate")
            study.store.now(progress.pause, False)
            page = crawler.http.get("/rate")
        page = crawler.press(page, choice=str(pressed % 3), reason="because")
        pressed += 1
    assert pressed == len(study.packet.pairs)
    assert "All done" in page.text
    crawler.crawl(str(page.url), path)
    crawler.knock(path.rpartition("/")[2])
    other.crawl(path, "/rate", "/owner", "/owner/raters/1", "/owner/votes.jsonl", "/finished")
    other.knock(path.rpartition("/")[2])
    assert len(crawler.heard) > 300
    codes = {int(where.rpartition(" ")[2]) for where, _ in (*crawler.heard, *other.heard)}
    assert codes >= {200, 303, 400, 403, 404, 405, 409, 413, 423}
    assert 500 not in codes
    tells_nothing(crawler)
    tells_nothing(other)
    for where, text in crawler.heard:
        assert "somebody-labelled" not in text, where


@pytest.mark.parametrize("kind", ["mturk", "prolific"])
def test_a_crowds_worker_can_reach_nothing_that_names_anybody(study, tmp_path, kind):
    token = links.new_link(study.store.secret, "crowd")
    facts = {"code": "C0DE", "token": token, "title": RUN, "note": TEACHER}
    study.store.now(crowds.add_campaign, kind, links.hash_of(token), 3, facts, time.time())
    given = {
        "mturk": "workerId=AWORKER12&assignmentId=AN0THER1&hitId=H&turkSubmitTo=https%3A%2F%2Fworkersandbox.mturk.com",
        "prolific": f"PROLIFIC_PID={'a1' * 12}&STUDY_ID={'b2' * 12}&SESSION_ID={'c3' * 12}",
    }[kind]
    crawler = Crawler(study)
    crawler.crawl(f"/c/{token}", f"/c/{token}?workerId=%3Cx%3E", f"/c/{token}?{given[:30]}")
    crawler.crawl(f"/c/{token}?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
    path = f"/c/{token}?{given}"
    page = crawler.press(crawler.crawl(path)[path])
    pressed = 0
    while page_of(page).find("button", value="2"):
        crawler.crawl(str(page.url), "/finished")
        page = crawler.press(page, choice=str(pressed % 3))
        pressed += 1
    assert pressed == 3
    assert str(page.url).endswith("/finished")
    crawler.crawl("/finished", "/rate", path)
    crawler.knock(token)
    tells_nothing(crawler)
    worker = b"AWORKER12" if kind == "mturk" else b"a1" * 12
    kept = [file.read_bytes() for file in (tmp_path / RUN).glob(f"{FILE}*")]
    assert kept
    assert not any(worker in data for data in kept)


def blank(answer):
    """A page of a pair without what is said in it, and without what counts up."""
    soup = page_of(answer)
    for said in soup.select(".said"):
        assert set(said.attrs) == {"class", "hx-disable"}
        said.clear()
    for counts in soup.select(".where h1, .where progress, title"):
        counts.replace_with(counts.name)
    soup.select_one("section.pair")["data-said"] = ""
    item = soup.find("input", attrs={"name": "item"})
    assert re.fullmatch("[0-9a-f]{10}", item["value"])
    for hidden in soup.find_all("input", type="hidden"):
        hidden["value"] = ""
    return str(soup)


def pages_of(served):
    """All that a rater sees: item, page as answered, headers."""
    crawler = Crawler(served)
    page = crawler.press(crawler.http.get(served.invite()))
    while item := page_of(page).find("input", attrs={"name": "item"}):
        yield item["value"], page
        page = crawler.press(page, choice="1")


def test_the_two_sides_differ_in_nothing_but_text_and_digit(study):
    count = 0
    for _, page in pages_of(study):
        one, two = page_of(page).select(".output")
        for side in (one, two):
            side.select_one(".said").clear()
        assert str(two) == str(one).replace("Output 1", "Output 2").replace("output-1", "output-2")
        first, _, second = page_of(page).select(".buttons button")
        assert str(second) == re.sub('1(?=[" <])|1$', "2", str(first)).replace(
            "Output 1", "Output 2"
        )
        count += 1
    assert count == len(study.packet.pairs)


def test_attention_checks_cannot_be_told_from_pairs(study):
    looks, heads = set(), set()
    checks = 0
    for n, (item, page) in enumerate(pages_of(study)):
        assert not re.search("gold|attention|check", page.text, re.IGNORECASE)
        if n == 0:
            continue  # the first page alone has the instructions open and no undo
        checks += item in study.packet.gold
        looks.add(blank(page))
        heads.add(tuple(sorted(set(page.headers) - {"content-length"})))
    assert checks >= 1
    assert len(looks) == 1
    assert len(heads) == 1


def test_the_answer_to_a_vote_is_the_same_for_a_right_and_a_wrong_one(study):
    answers = set()
    for choice in ("1", "2", "0"):
        crawler = Crawler(study)
        page = crawler.press(crawler.http.get(study.invite()))
        while page_of(page).find("input", attrs={"name": "item"})["value"] not in study.packet.gold:
            page = crawler.press(page, choice="0")
        after = crawler.press(page, choice=choice)
        answers.add((after.status_code, blank(after)))
    assert len(answers) == 1


def test_nobody_sees_anothers_vote(study):
    first, second = Crawler(study), Crawler(study)
    mine = first.press(first.http.get(study.invite()))
    page = second.press(second.http.get(study.invite()))
    before = first.http.get("/rate").text
    for _ in range(3):
        page = second.press(page, choice="2", reason="aardvark")
    assert first.http.get("/rate").text == before == mine.text
    while page_of(mine).find("input", attrs={"name": "item"}):
        mine = first.press(mine, choice="1")
    assert not any("aardvark" in text for _, text in first.heard)
