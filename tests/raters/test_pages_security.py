"""Headers, cookies, forged forms, limits; and the server itself."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from raters.pages import Study, forms, heading
from veneer.errors import InputError
from veneer.raters.server.app import create_app, serve
from veneer.raters.server.limits import Rate
from veneer.raters.server.rater_pages import REASON
from veneer.raters.server.security import BODY_BYTES, policy
from veneer.raters.store.progress import votes

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def study(tmp_path):
    with Study(tmp_path) as study:
        yield study


def test_every_answer_has_the_headers(study):
    browser, page = study.at_work()
    answers = [
        page,
        browser.get("/nowhere"),
        browser.get("/static/rating.css"),
        browser.put("/rate"),
    ]
    answers += [browser.get("/i/x"), browser.post("/rate", content=b"x" * (BODY_BYTES + 1))]
    assert [answer.status_code for answer in answers] == [200, 404, 200, 405, 403, 413]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers
    kept = [answer.headers["Cache-Control"] for answer in answers]
    assert kept == [
        "no-store",
        "no-store",
        "public, max-age=3600",
        "no-store",
        "no-store",
        "no-store",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/rate/",
        "/i/",
        "/static/../app.py",
        "/static/LICENSE-htmx",
    ],
)
def test_nothing_else_is_served(study, path):
    page = study.browser().get(path, follow_redirects=False)
    assert (page.status_code, heading(page)) == (404, "There is no such page")


def test_a_browser_that_goes_away_while_it_sends_leaves_no_trace(study):
    browser, page = study.at_work()
    form, sent = forms(page)[-1], []
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items()),
    }
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/rate",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    messages = [
        {"type": "http.request", "body": f"item={form.fields['item']}".encode(), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(study.app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert study.store.seen(votes) == []


def test_a_wider_policy_names_its_hosts_and_nothing_else():
    wide = policy(["https://a.example"], ["https://b.example"])
    assert "frame-ancestors https://a.example;" in wide
    assert "form-action 'self' https://b.example;" in wide
    assert wide.replace(" https://b.example", "").replace("https://a.example", "'none'") == policy()


def test_a_refusal_stays_in_its_frame(study):
    inside = study.browser().get("/rate", headers={"Sec-Fetch-Dest": "iframe"})
    assert "frame-ancestors https://worker.mturk.com " in inside.headers["Content-Security-Policy"]


def test_pages_hold_no_inline_code_and_load_nothing_from_elsewhere(study):
    _, page = study.at_work()
    assert not re.search(r"<style|style=|\son\w+=|javascript:|hx-on|//", page.text)
    assert re.findall(r"<script[^>]*>", page.text) == [
        '<script src="/static/htmx.min.js" defer>',
        '<script src="/static/rating.js" defer>',
    ]
    assert '"allowEval":false' in page.text
    css = study.browser().get("/static/rating.css").text
    assert "url(" not in css
    assert "@import" not in css


@pytest.mark.parametrize(
    ("url", "name", "ending"),
    [
        (None, "rater", "HttpOnly; SameSite=Lax"),
        ("https://rate.example.org", "__Host-rater", "HttpOnly; SameSite=Lax; Secure"),
    ],
)
def test_cookies(tmp_path, url, name, ending):
    with Study(tmp_path, public_url=url) as study:
        browser = study.browser()
        welcome = browser.get(study.invited()[1])
        started = forms(welcome)[0].send(browser, follow=False)
        new, old = started.headers.get_list("Set-Cookie")
        assert re.fullmatch(rf"{name}=[\w.-]{{68}}; Path=/; Max-Age=7776000; {ending}", new)
        assert old.startswith(name.replace("rater", "start") + "=; Path=/; Max-Age=0;")
        assert heading(browser.get("/rate")) == "Pair 1 of 3"


def test_a_browser_without_cookies_is_told(study):
    browser = study.browser()
    form = forms(browser.get(study.invited()[1]))[0]
    browser.cookies.clear()
    page = form.send(browser)
    assert (page.status_code, heading(page)) == (403, "This page needs a cookie")


def test_two_raters_in_one_browser_do_not_mix(study):
    browser, page = study.at_work("first")
    forms(browser.get(study.invited("second")[1]))[0].send(browser)
    stale = forms(page)[-1].send(browser, choice=1)
    assert (stale.status_code, heading(stale)) == (403, "This form is out of date")
    assert study.store.seen(votes) == []


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://testserver.evil.example"}, False),
    ],
)
def test_forms_from_elsewhere_are_refused(study, headers, passes):
    browser, page = study.at_work()
    answer = forms(page)[-1].send(browser, headers=headers, choice=1)
    assert answer.status_code == (200 if passes else 403)
    assert len(study.store.seen(votes)) == passes


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_forms_with_a_wrong_token_are_refused(study, token):
    browser, page = study.at_work()
    form = forms(page)[-1]
    for answer in (
        form.send(browser, choice=1, csrf=token),
        browser.post("/undo", data={"csrf": token}),
        browser.post("/rate", data={"item": form.fields["item"], "choice": 1}),
    ):
        assert (answer.status_code, heading(answer)) == (403, "This form is out of date")
    other = study.browser()
    start = forms(other.get(study.invited("b")[1]))[0].send(other, csrf=token)
    assert start.status_code == 403
    assert study.store.seen(votes) == []


@pytest.mark.parametrize("wrong", [{"choice": "3"}, {"choice": ""}, {"choice": "1", "item": ""}])
def test_votes_that_mean_nothing_are_refused(study, wrong):
    browser, page = study.at_work()
    answer = forms(page)[-1].send(browser, **wrong)
    assert (answer.status_code, heading(answer)) == (400, "That could not be read")
    assert study.store.seen(votes) == []


def test_other_bodies_than_forms_are_refused(study):
    browser, _ = study.at_work()
    many = "&".join(f"a{n}=b" for n in range(100))
    kind = "application/x-www-form-urlencoded"
    for body, given in ((b"{}", "application/json"), (b"\xff=1", kind), (many.encode(), kind)):
        answer = browser.post("/rate", content=body, headers={"Content-Type": given})
        assert answer.status_code == 400
    assert browser.post("/rate", files={"choice": b"1"}).status_code == 400


def test_a_reason_is_kept_to_its_length_and_without_control_characters(study):
    browser, page = study.at_work()
    long = forms(page)[-1].send(browser, choice=1, reason="x" * (REASON + 1))
    assert (long.status_code, heading(long)) == (413, "That was too long")
    kept = "🙂" * (REASON - 3) + "a\nb"
    page = forms(page)[-1].send(browser, choice=1, reason=kept.replace("\n", "\x00\x1b\r\n"))
    assert heading(page) == "Pair 2 of 3"
    assert [vote.reason for vote in study.store.seen(votes)] == [kept]


def test_a_body_without_a_length_is_limited_too(study):
    browser, _ = study.at_work()

    def endless():
        for _ in range(10_000):
            yield b"a=" + b"x" * 1000 + b"&"

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = browser.post("/rate", content=endless(), headers=kind)
    assert (answer.status_code, heading(answer)) == (413, "That was too long")


def test_votes_are_limited_a_session(tmp_path):
    with Study(tmp_path, votes=Rate(per_second=0.001, burst=2)) as study:
        browser, page = study.at_work()
        for _ in range(2):
            page = forms(page)[-1].send(browser, choice=1)
        fast = forms(page)[-1].send(browser, choice=1, reason="dear")
        assert (fast.status_code, heading(fast)) == (429, "That was too fast")
        assert forms(fast)[0].fields["reason"] == "dear"
        other, page = study.at_work("b")
        assert heading(forms(page)[-1].send(other, choice=1)) == "Pair 2 of 3"
        assert len(study.store.seen(votes)) == 3


def test_failed_links_are_limited_an_address_and_good_ones_are_not(tmp_path):
    with Study(tmp_path, failed_links=Rate(per_second=0.001, burst=3)) as study:
        tried = [study.browser().get(f"/i/{n}").status_code for n in range(5)]
        assert tried == [403, 403, 403, 429, 429]
        assert study.at_work()[1].status_code == 200


def test_a_forged_cookie_asks_nothing_of_the_store(tmp_path):
    with Study(tmp_path, failed_links=Rate(per_second=0.001, burst=3)) as study:
        good, _ = study.at_work()
        study.store.close()  # whoever asks it now fails
        forger = study.browser()
        tried = []
        for n in range(5):
            forger.cookies.set("rater", f"{n:022}.{n:022}.{n:022}")
            tried.append(forger.get("/rate").status_code)
        assert tried == [403, 403, 403, 429, 429]
        assert good.get("/rate").status_code == 503


def test_what_htmx_is_stands_beside_it():
    static = SOURCE / "veneer/raters/server/static"
    assert 'version:"2.0.11"' in (static / "htmx.min.js").read_text("utf-8")
    assert "Zero-Clause BSD" in (static / "LICENSE-htmx").read_text("utf-8")


def test_an_error_of_ours_is_a_page_without_a_trace(study):
    study.packet.by_id.clear()
    _, page = study.at_work()
    assert (page.status_code, heading(page)) == (500, "Something went wrong on the server")
    assert "Traceback" not in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("url", ["rate.example.org", "https://x/y", "ftp://x", ""])
def test_a_public_url_is_an_address(study, url):
    with pytest.raises(InputError, match="not an address"):
        create_app(study.store, study.packet, public_url=url)


def test_a_taken_port_is_said(study):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"Cannot listen on 127\.0\.0\.1 port"):
            serve(study.app, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="Cannot listen"):
        serve(study.app, host="203.0.113.77")
    with pytest.raises(InputError, match="no port"):
        serve(study.app, port=70_000)


SERVER = """
import sys
from pathlib import Path
from raters.pages import Study
from veneer.raters.server.app import serve
with Study(Path(sys.argv[1])) as study:
    link = study.invited()[1]
    serve(study.app, port=0, started=lambda url: print(url, link, flush=True))
print("closed")
"""


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_a_server_starts_answers_and_ends_quietly(tmp_path, ends):
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    ) as server:
        try:
            url, link = server.stdout.readline().split()
            with urllib.request.urlopen(url + link, timeout=20) as page:
                assert page.headers["Server"] is None
                assert b"Start" in page.read()
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(url + link + "x", timeout=20)
            server.send_signal(ends)
            rest, _ = server.communicate(timeout=20)
        finally:
            server.kill()
    assert rest == "closed\n"
    assert server.returncode == 0
