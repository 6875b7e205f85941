"""Scores over HTTP, from a real server on this machine."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from urllib.parse import quote_plus

import pytest
from toxicity_server import KEY, ScoringServer, score

from veneer.errors import InputError, StepFailed, VeneerError
from veneer.measure.toxicity import Score, ToxicitySettings, scorer_of, toxicity_sheets
from veneer.measure.toxicity.comments import Comments
from veneer.measure.toxicity.kept import Kept, score_key
from veneer.measure.toxicity.service import ServiceScorer
from veneer.records import Answer, Subject

TEXTS = [f"text number {i}" for i in range(40)]


@pytest.fixture(autouse=True)
def away_from_the_users_files(tmp_path, monkeypatch):
    monkeypatch.setenv("VENEER_JOURNAL", str(tmp_path / "data" / "journal.sqlite"))
    monkeypatch.setattr("veneer.models.api.pacing.BACKOFF_SECONDS", (0.01, 0.05))
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "PERSPECTIVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def comments(server, **more):
    settings = ToxicitySettings(scorer="comments", base_url=server.root, **more)
    return scorer_of(settings, words="unused")


def moderation(server, **more):
    more.setdefault("attributes", ("harassment", "hate"))
    settings = ToxicitySettings(scorer="moderation", base_url=f"{server.root}/v1", **more)
    return scorer_of(settings, words="unused")


def error(status, message="no", kind="", **headers):
    details = [{"errorType": kind}] if kind else []
    return status, headers, {"error": {"code": status, "message": message, "details": details}}


def test_comments_as_they_go_over_the_wire(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with ScoringServer() as server:
        found = comments(server, key="MY_KEY", attributes=("TOXICITY", "INSULT"))(TEXTS[:3])
        assert [one.value for one in found] == [
            max(score(text, "TOXICITY"), score(text, "INSULT")) for text in TEXTS[:3]
        ]
        request = next(r for r in server.requests if r["body"]["comment"]["text"] == TEXTS[0])
        assert request["path"] == f"/v1alpha1/comments:analyze?key={quote_plus(KEY)}"
        assert request["body"] == {
            "comment": {"text": TEXTS[0]},
            "requestedAttributes": {"TOXICITY": {}, "INSULT": {}},
            "languages": ["en"],
            "doNotStore": True,
        }


def test_moderation_is_the_worst_category_that_counts():
    told = []
    with ScoringServer() as server:
        found = moderation(server, attributes=("hate", "violence"))(
            TEXTS, lambda *at: told.append(at)
        )
        assert [one.value for one in found] == [
            max(score(text, "hate"), score(text, "violence")) for text in TEXTS
        ]
        assert len(server.requests) == 2  # 32 and 8 texts
        assert told[0] == (0, 40)
        assert told[-1] == (40, 40)
        with pytest.raises(InputError, match=r"no score of harassment/threatening(.|\n)*self-harm"):
            moderation(server, attributes=("harassment/threatening",))(["another"])


def test_an_empty_text_is_harmless_and_is_not_sent():
    with ScoringServer() as server:
        assert comments(server)(["", " \n", "a"])[:2] == [Score(0.0), Score(0.0)]
        assert server.asked == ["a"]


@pytest.mark.parametrize("scorer", [comments, moderation])
def test_after_failures_half_way_no_text_is_asked_twice(scorer):
    def broken(number, texts):
        return error(500, "internal") if number % 3 == 1 or set(texts) & set(TEXTS[20:]) else None

    with ScoringServer(broken) as server:
        first = scorer(server)(TEXTS[:20])
        assert all(one.value is not None for one in first)
        second = scorer(server)(TEXTS[:25])
        assert second[:20] == first
        assert [one.value for one in second[20:]] == [None] * 5  # never 0
        assert all("HTTP 500" in one.reason for one in second[20:])
        server.fault = None
        third = scorer(server)(TEXTS)
        assert third[:20] == first
        assert all(one.value is not None for one in third)
        assert sorted(server.asked) == sorted(TEXTS)
        scorer(server)(TEXTS)
        assert len(server.asked) == len(TEXTS)


def test_a_rejected_text_is_unscored_with_the_services_words():
    def picky(number, texts):
        if texts == [TEXTS[1]]:
            kind = "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
            return error(400, "Attribute TOXICITY does not support request languages: xx", kind)
        return error(400, "Bad text") if texts == [TEXTS[2]] else None

    with ScoringServer(picky) as server:
        for _ in range(2):
            found = comments(server)(TEXTS[:4])
            assert [one.value is None for one in found] == [False, True, True, False]
            assert "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE Attribute TOXICITY" in found[1].reason
            assert "HTTP 400: Bad text" in found[2].reason
        sent = [request["body"]["comment"]["text"] for request in server.requests]
        assert [sent.count(text) for text in TEXTS[:4]] == [1, 1, 2, 1]
        answers = [Answer(prompt=f"p{i}", text=t, model="m") for i, t in enumerate(TEXTS[:4])]
        sheet, _ = toxicity_sheets(answers, comments(server), Subject(model="m", role="base"))
        assert sheet.values.count(None) == 2
        assert "does not support" in sheet.reasons[1]


def test_one_bad_text_does_not_take_its_batch_with_it():
    with ScoringServer(lambda _, texts: error(400) if TEXTS[5] in texts else None) as server:
        found = moderation(server)(TEXTS[:8])
    assert [k for k, one in enumerate(found) if one.value is None] == [5]


def test_a_limit_is_waited_for_as_the_server_asks():
    refused = []

    def limited(number, _):
        if number == 1:
            refused.append(time.monotonic())
            return error(429, "slow down", **{"Retry-After": "0.2"})
        return None

    with ScoringServer(limited) as server:
        found = comments(server)(TEXTS[:3])
    assert all(one.value is not None for one in found)
    assert sorted(server.asked) == sorted(TEXTS[:3])
    assert len(server.requests) == 4
    assert server.times[-1] - refused[0] >= 0.2


@pytest.mark.parametrize("scorer", [comments, moderation])
@pytest.mark.parametrize(("status", "message"), [(403, "denied {}"), (400, "API key not valid {}")])
def test_a_wrong_key_is_one_error_that_does_not_show_it(
    scorer, status, message, monkeypatch, tmp_path, capsys, caplog
):
    if scorer is moderation and status == 400:
        status = 401
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    sent = [KEY, quote_plus(KEY)] if scorer is comments else [KEY]  # in the address; in a header
    shown = message.format(" ".join(sent))
    with (
        ScoringServer(lambda *_: error(status, shown)) as server,
        pytest.raises(InputError, match="does not accept the key in MY_KEY") as caught,
    ):
        scorer(server, key="MY_KEY")(TEXTS)
    files = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    said = str(caught.value) + capsys.readouterr().err + caplog.text
    for secret in sent:
        assert secret not in said
        assert secret.encode() not in files
    assert len(server.requests) <= 8


@pytest.mark.parametrize(
    ("fault", "raised", "said"),
    [
        (error(404, "nothing here"), InputError, "does not answer /v1alpha1/comments:analyze"),
        ((307, {"Location": "http://elsewhere/"}, {}), InputError, "HTTP 307"),
        (error(400, "Attribute NICENESS could not be found"), StepFailed, "NICENESS"),
        ((200, {}, b"<html>hello</html>"), StepFailed, "holds no score"),
        (
            (200, {}, {"attributeScores": {"TOXICITY": {"summaryScore": {"value": 7}}}}),
            StepFailed,
            "no number from 0 to 1",
        ),
    ],
)
def test_what_no_text_survives_is_one_error(fault, raised, said):
    with ScoringServer(lambda *_: fault) as server, pytest.raises(raised, match=said):
        comments(server)(TEXTS)


def test_a_server_that_is_not_there_is_said():
    with ScoringServer() as server:
        gone = comments(server)
    with pytest.raises(StepFailed, match="no reply"):
        gone(TEXTS[:3])


def test_a_missing_key_names_its_variable():
    with pytest.raises(InputError, match="PERSPECTIVE_API_KEY is not set"):
        scorer_of(ToxicitySettings(scorer="comments"), words="unused")
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        scorer_of(ToxicitySettings(scorer="moderation"), words="unused")


def test_a_killed_run_goes_on(tmp_path):
    slow = "text number 7"

    def stuck(number, texts):
        if texts == [slow] and not killed:
            time.sleep(0.6)
            return error(503)
        return None

    killed = []
    with ScoringServer(stuck) as server:
        code = f"""
        from veneer.measure.toxicity import ToxicitySettings, scorer_of, service
        service.TELL_SECONDS = 0
        scorer = scorer_of(
            ToxicitySettings(scorer="comments", base_url="{server.root}"), words="unused"
        )
        scorer([f"text number {{i}}" for i in range(8)], lambda *at: print(*at, flush=True))
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        )
        for line in process.stdout:
            if line.split()[0] == "7":
                break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed.append(True)
        assert slow not in server.asked
        found = comments(server)(TEXTS[:8])
    assert [one.value for one in found] == [score(text, "TOXICITY") for text in TEXTS[:8]]
    assert sorted(server.asked) == sorted(TEXTS[:8])


def test_scores_are_known_by_all_that_decides_them(tmp_path):
    keys = {
        score_key(*given)
        for given in [
            ("comments", "http://a", "", ("TOXICITY",), "t"),
            ("moderation", "http://a", "", ("TOXICITY",), "t"),
            ("comments", "http://b", "", ("TOXICITY",), "t"),
            ("comments", "http://a", "m", ("TOXICITY",), "t"),
            ("comments", "http://a", "", ("INSULT",), "t"),
            ("comments", "http://a", "", ("TOXICITY",), "u"),
        ]
    }
    assert len(keys) == 6
    assert score_key("s", "u", "m", ("a", "b"), "t") == score_key("s", "u", "m", ("b", "a"), "t")
    with Kept(tmp_path / "s.sqlite") as kept:
        many = {key: Score(k / 3000) for k, key in enumerate(f"{i:064x}" for i in range(1200))}
        for start in range(0, 1200, 100):
            kept.keep(dict(list(many.items())[start : start + 100]))
        assert kept.found([*many, "unknown"]) == many


def test_a_file_that_is_no_file_of_scores_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    bad = tmp_path / "data" / "scores.sqlite"
    bad.write_bytes(b"something else entirely" * 100)
    with ScoringServer() as server, pytest.raises(VeneerError, match="cannot be used"):
        comments(server)(["a"])
    assert not server.requests


def test_a_base_url_may_have_its_path():
    for given in ("http://h:1", "http://h:1/", "http://h:1/v1alpha1/comments:analyze"):
        assert Comments(given).url == "http://h:1"
    with pytest.raises(InputError, match="not the address"):
        Comments("localhost")
    assert ServiceScorer(Comments("http://h:1")).service.size == 1
