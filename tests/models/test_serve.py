"""`transformers serve` on a small local model, asked through the client as a real teacher is."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from small_teacher import DIALOGUES, knows_dialogues
from transformers.utils.import_utils import is_serve_available

from veneer.errors import InputError
from veneer.models.api.client import ApiModel
from veneer.models.api.endpoint import Endpoint
from veneer.models.api.journal import Journal
from veneer.models.asking import Ask
from veneer.models.local import LocalModel

pytestmark = pytest.mark.skipif(
    not is_serve_available(), reason="transformers serve needs the extra: veneer[serving]"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("teacher")
    knows_dialogues(made)
    return made


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    """The base URL of a server of the folder's model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("transformers"))
    log = tmp_path_factory.mktemp("log") / "serve.log"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [program, "serve", str(folder), "--device", "cpu", "--host", "127.0.0.1"]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--port", str(port)], stdout=out, stderr=out, env=environment
        )
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def teacher(folder, url, tmp_path):
    """Makes clients of the server that share a journal."""
    with Journal(tmp_path / "journal") as journal:
        yield lambda **options: ApiModel(Endpoint(str(folder), url), journal=journal, **options)


def test_it_answers_as_the_same_model_does_in_this_process(teacher, folder):
    asks = [Ask.of(text) for text in DIALOGUES]
    replies = teacher().ask(asks, max_new_tokens=60, temperature=0.0)
    assert [reply.outcome for reply in replies] == ["answered"] * 4
    assert [reply.text for reply in replies] == list(DIALOGUES.values())
    local = LocalModel.load(folder, device="cpu")
    inside = local.answer(list(DIALOGUES), max_new_tokens=60)
    assert [said.text.strip() for said in inside] == [reply.text for reply in replies]
    counted = [len(local.tokenizer(reply.text)["input_ids"]) for reply in replies]
    ends = 1  # the server counts the token that ends an answer
    assert [reply.completion_tokens for reply in replies] == [n + ends for n in counted]


def test_an_answer_at_the_token_limit_is_truncated(teacher):
    (reply,) = teacher().ask([Ask.of("who wrote the book?")], max_new_tokens=4, temperature=0.0)
    assert (reply.outcome, reply.completion_tokens) == ("truncated", 4)
    assert reply.text
    assert DIALOGUES["who wrote the book?"].startswith(reply.text)


def test_n_that_it_ignores_is_refused_and_what_came_is_kept(teacher):
    asks = [Ask.of("add 1 and 2", sample) for sample in (0, 1)]
    with pytest.raises(InputError, match="ignored n=2"):
        teacher().ask(asks, max_new_tokens=40, temperature=1.0)
    apart = teacher(samples_per_request=1)
    replies = apart.ask(asks, max_new_tokens=40, temperature=1.0)
    assert [reply.outcome for reply in replies] == ["answered", "answered"]
    report = apart.report()
    assert (report.requests, report.from_journal) == (1, 1)


def test_logprobs_that_it_ignores_are_refused_and_what_came_is_kept(teacher):
    asks = [Ask.of("what does the fox do?")]
    with pytest.raises(InputError, match="ignored logprobs"):
        teacher(logprobs=True).ask(asks, max_new_tokens=40, temperature=0.0)
    plain = teacher()
    (reply,) = plain.ask(asks, max_new_tokens=40, temperature=0.0)
    assert reply.text == DIALOGUES["what does the fox do?"]
    assert plain.report().requests == 0


def test_another_models_name_is_a_failure_in_the_servers_words(url, tmp_path):
    with ApiModel(Endpoint("another", url), journal=tmp_path / "journal") as teacher:
        (reply,) = teacher.ask([Ask.of("x")], max_new_tokens=4)
    assert reply.outcome == "failed"
    assert "pinned" in reply.reason
