"""The server as it is started, asked over plain sockets for what it must not do or tell."""

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

import httpx
from bs4 import BeautifulSoup
from packets import STUDENT, TEACHER, small_packet
from playwright.sync_api import expect
from serving import browsing, studied
from watching import AtWork

from veneer.raters.store import progress

SERVER = """
import sys
from pathlib import Path
from packets import small_packet
from serving import Served
from veneer.raters.server.app import create_app, serve
from veneer.raters.store import open_store

folder = Path(sys.argv[1])
packet = small_packet(folder / "packet", pairs=3)
store = open_store(f"sqlite:///{folder}/votes.db", packet)
app = create_app(store, packet)
served = Served(packet, store, app, "")
links = served.invite("Ana"), served.invite("Ben"), served.owner_link()
serve(app, port=0, started=lambda url: print(url, *links, flush=True))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """A server in a process of its own: address, three links; and a file with all that it said."""
    folder = tmp_path_factory.mktemp("started")
    here = Path(__file__).parent
    path = os.pathsep.join([str(here.parents[1] / "src"), str(here)])
    said = folder / "said.txt"
    with said.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        try:
            yield server.stdout.readline().split(), server, said
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


def raw(address, line, *headers, host="rate.test"):
    """The answer to a request written out as it is: status, headers, body."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *headers])
        connection.sendall(f"{head}\r\n\r\n".encode("latin-1"))
        data = b"".join(iter(lambda: connection.recv(65536), b"")).decode("utf-8", "replace")
    head, _, body = data.partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    return int(status.split()[1]), [tuple(each.split(": ", 1)) for each in rest], body


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/../../packet.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e%2fapp.py",
        "/static/..\\app.py",
        "/static/%00rating.css",
        "/static/rating.css%00.py",
        "/static/rating.css/../../app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/LICENSE-htmx",
        "/static/",
        "/static",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/templates/base.html.jinja",
        "/docs",
        "/openapi.json",
        "/.git/config",
        "/%ff%fe%00",
        "/i/../owner",
    ],
)
def test_no_other_file_is_served(started, path):
    (address, *_), *_ = started
    status, _, body = raw(address, f"GET {path}")
    assert status in (403, 404)
    assert not re.search("import |root:|{%|MIT|BSD|swagger", body)


@pytest.mark.parametrize("host", ["away.test", "away.test:80@127.0.0.1", "<script>", "a b", ""])
def test_no_redirect_goes_to_the_host_that_a_request_names(started, host):
    (address, rater, _, owner), *_ = started
    lies = ("X-Forwarded-Host: away.test", "X-Forwarded-Proto: https", "Forwarded: host=away.test")
    for line in (f"GET {rater}/", "GET /rate/", "GET //away.test/", f"GET {owner}/", "GET /owner/"):
        status, headers, body = raw(address, line, *lies, host=host)
        to = [value for name, value in headers if name.lower() == "location"]
        assert (status, to) in ((404, []), (400, [])), line
        assert "away.test" not in body
    for line in (f"GET {rater}", f"GET {owner}", "GET /rate"):
        assert "away.test" not in raw(address, line, *lies, host=host)[2]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused_with_a_page(started, method):
    (address, rater, _, owner), *_ = started
    for path in ("/rate", "/undo", rater, owner, "/owner", "/static/rating.css", "/health"):
        status, headers, body = raw(address, f"{method} {path}", "Content-Length: 0")
        assert status == 405, path
        assert dict(headers)["content-security-policy"].startswith("default-src 'none'"), path
        assert "cannot be used so" in body
        assert not [name for name, _ in headers if name.startswith("access-control")]


def test_head_has_a_pages_headers_and_nothing_else(started):
    (address, rater, *_), *_ = started
    for path in (rater, "/static/rating.css", "/health"):
        got, asked = raw(address, f"GET {path}"), raw(address, f"HEAD {path}")
        assert (asked[0], asked[2]) == (200, "")
        names = [[name for name, _ in answer[1]] for answer in (got, asked)]
        assert names[0] == names[1]
    assert raw(address, "HEAD /rate")[0] == 403


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("POST /rate", ["Content-Length: 9999999999"]),
        ("POST /rate", ["Content-Length: 65537"]),
        ("GET /rate", [f"Cookie: rater={'a' * 20_000}"]),
        ("GET /rate", ["Cookie: rater=%00; rater=x; ;;=; =y"]),
        ("GET /i/" + "x" * 20_000, []),
        ("POST /i/x", ["Content-Length: 0"]),
        ("POST /undo", ["Content-Length: 0"]),
        ("POST /owner/pause", ["Content-Length: 0"]),
        ("GET /owner/raters/99999999999999999999999", []),
        ("GET /rate?item=x&choice=1", ["HX-Request: true"]),
    ],
)
def test_odd_requests_get_a_page(started, line, headers):
    (address, *_), *_ = started
    status, given, body = raw(address, line, *headers)
    assert status in (403, 404, 413, 429)
    assert "No vote was lost" in body or "no vote is lost" in body
    assert dict(given)["x-content-type-options"] == "nosniff"
    assert "server" not in dict(given)


def test_links_stay_out_of_headers_and_of_what_the_server_says(started):
    """All the way through: what a proxy logs of answers, and what stands in the server's log."""
    (address, first, second, owner), server, said = started
    heard = []

    def keep(answer):
        answer.read()
        heard.append((str(answer.request.url), answer.headers.multi_items(), answer.text))

    cookies = []
    for link in (first, second, owner):
        with httpx.Client(
            base_url=address,
            follow_redirects=True,
            event_hooks={"response": [keep]},
            trust_env=False,
        ) as http:
            page = http.get(link)
            form = BeautifulSoup(page.text, "html.parser").find("form")
            hidden = {one["name"]: one["value"] for one in form.find_all("input")}
            page = http.post(link, data=hidden)
            assert page.status_code == 200
            while form := BeautifulSoup(page.text, "html.parser").select_one("form.vote"):
                hidden = {one["name"]: one["value"] for one in form.find_all("input")}
                page = http.post("/rate", data=hidden | {"choice": "1", "reason": "dear"})
            http.get(link)
            http.post("/rate", data={"csrf": "x"})
            cookies += [cookie.value for cookie in http.cookies.jar]
    assert len(heard) > 15
    assert len(cookies) >= 3
    tokens = [link.rpartition("/")[2] for link in (first, second, owner)]
    for url, headers, _ in heard:
        for name, value in headers:
            assert not any(token in value for token in tokens), url
            if name == "location":
                assert re.fullmatch("/[a-z]+", value), url
    raw(address, "GET /" + "x" * 300_000)  # no HTTP that the server could read
    server.terminate()
    server.wait(10)
    log = said.read_text("utf-8") + server.stdout.read()
    for word in (*tokens, *cookies, STUDENT, TEACHER, "dear", "Traceback", "/i/", "/o/"):
        assert word not in log


@pytest.mark.parametrize(
    "public_url", [None, "http://rate.example.org", "https://rate.example.org"]
)
def test_cookies_are_for_this_site_and_no_script(tmp_path, public_url):
    with studied(small_packet(tmp_path / "p"), tmp_path, public_url=public_url) as served:
        for link in (served.invite(), served.owner_link()):
            status, headers, body = raw(served.address, f"GET {link}")
            assert status == 200
            (cookie,) = [value for name, value in headers if name == "set-cookie"]
            flags = set(cookie.split("; ")[1:])
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= flags
            assert not [flag for flag in flags if flag.startswith("Domain")]
            https = bool(public_url and public_url.startswith("https"))
            assert ("Secure" in flags) == cookie.startswith("__Host-") == https
            value = cookie.partition("=")[2].partition(";")[0]
            token = BeautifulSoup(body, "html.parser").find("input", attrs={"name": "csrf"})[
                "value"
            ]
            for given in ("", "0" * 64, token[::-1]):
                with httpx.Client(base_url=served.address, trust_env=False) as http:
                    http.headers["Cookie"] = f"{cookie.partition('=')[0]}={value}"
                    assert http.post(link, data={"csrf": given}).status_code == 403
                    other = {"Origin": "http://away.test"}
                    assert http.post(link, data={"csrf": token}, headers=other).status_code == 403
        assert served.store.seen(progress.votes) == []


@contextmanager
def elsewhere(body):
    """Another site on this machine, with one page; its address. To browsers localhost is one."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


def test_another_sites_page_neither_votes_nor_frames(tmp_path):
    """A page elsewhere, in the browser of a rater at work, sends a form and frames the study."""
    with studied(small_packet(tmp_path / "p"), tmp_path) as served, browsing() as browser:
        page = browser.new_page()
        page.set_default_timeout(5000)
        rater = AtWork(page).start(served.address + served.invite())
        item = rater.item
        body = f"""<form method="post" action="{served.address}/rate">
            <input name="item" value="{item}"><input name="choice" value="1"></form>
            <iframe src="{served.address}/rate"></iframe>
            <button onclick="document.forms[0].submit()">Go</button>"""
        with elsewhere(body) as address:
            for site, heading in (
                (address, "This link does not work here"),  # the cookie did not come along
                (address.replace("localhost", "127.0.0.1"), "This form is out of date"),
            ):
                with page.expect_event("console", lambda said: "frame-ancestors" in said.text):
                    page.goto(site)
                page.get_by_role("button", name="Go").click()
                expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        assert served.store.seen(progress.votes) == []
        page.goto(f"{served.address}/rate")
        rater.at(1)
        assert rater.item == item
        rater.click(2)
        rater.at(2)
        assert [vote.choice for vote in served.store.seen(progress.votes)] == [2]
