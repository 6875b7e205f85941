"""What goes wrong on the way to Amazon: kills, lost answers, throttling, refusals."""

import signal
import subprocess
import sys
from decimal import Decimal

import pytest
from crowd_study import Study, made_up_keys
from crowd_workers import Turker
from mturk_rules import Worker
from mturk_server import FakeTurk

from veneer.errors import InputError
from veneer.raters.crowds import mturk
from veneer.raters.crowds.aws import Unanswered
from veneer.raters.store.progress import pause


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path):
    made_up_keys(monkeypatch, tmp_path)


@pytest.fixture
def turk():
    fake = FakeTurk()
    yield fake
    fake.close()


@pytest.fixture
def study(turk, tmp_path):
    made = Study(turk, tmp_path, pairs=15, ratings=3)
    yield made
    made.store.close()


LAUNCH = """
import sys
from pathlib import Path
from veneer.raters.crowds import mturk
from veneer.raters.packet import read_packet
from veneer.raters.store import open_store
folder, endpoint = sys.argv[1:]
packet = read_packet(Path(folder) / "packet")
store = open_store(f"sqlite:///{folder}/votes.db", packet)
mturk.launch(store, packet, public_url="http://127.0.0.1:1", pairs_per_assignment=3,
             budget_usd="6.90", seconds_per_pair=30, reserve=0, endpoint_url=endpoint)
"""


@pytest.mark.parametrize("when", ["hang", "hang after"])
def test_a_kill_between_intention_and_answer_neither_pays_twice_nor_loses_a_hit(
    study, turk, tmp_path, when
):
    turk.faults = [("CreateHIT", when)]
    launching = subprocess.Popen([sys.executable, "-c", LAUNCH, str(tmp_path), turk.url])
    assert turk.hanging.wait(30)
    launching.send_signal(signal.SIGKILL)
    launching.wait()
    turk.hung.set()
    made = len(turk.hits)
    assert made == (when == "hang after")
    # The intention stands: its money is held, and neither status nor expire makes a HIT of it.
    before = study.status("6.90")
    assert before["committed_cents"] == 9 * 46
    assert before["unknown"] == (when == "hang")
    assert len(turk.hits) == made

    # 45 votes in assignments of 3 are 15: nine of the first HIT, six more.
    again = study.launch(budget_usd="6.90", reserve=0)
    assert again["assignments"] == 6
    assert sorted(hit.request["MaxAssignments"] for hit in turk.hits.values()) == [6, 9]
    assert turk.liable() == Decimal("6.90")
    assert study.status("6.90")["left_cents"] == 0
    assert Turker(turk, Worker("A1")).take()


def test_an_answer_that_is_lost_is_found_by_the_client_itself(study, turk):
    turk.faults = [("CreateHIT", "drop"), ("CreateHIT", "throttle")]
    assert study.launch(reserve=0, assignments=9)["hits"] == 1
    assert turk.asked.count("CreateHIT") == 3
    assert len(turk.hits) == 1
    assert {row["hits"] for row in study.status()["campaigns"]} == {1}
    assert study.status()["committed_cents"] == turk.liable() * 100 == 9 * 46


def test_throttling_and_failures_are_tried_anew_and_then_told(study, turk):
    turk.faults = [("CreateHIT", "throttle"), ("CreateHIT", "fail"), ("GetHIT", "throttle")]
    study.launch(assignments=1)
    assert study.status()["available"] == 1
    turk.faults = [("CreateHIT", "fail")] * 5
    with pytest.raises(Unanswered, match="0 of 1 HIT was made before") as caught:
        study.launch(assignments=1)
    assert "Run the same command again" in caught.value.hint
    assert study.status() | {"unknown": 1, "committed_cents": 92} == study.status()
    # The next launch makes the one that was left first, then what it was asked for.
    study.launch(assignments=1)
    assert len(turk.hits) == 3
    assert study.status()["unknown"] == 0


def test_what_amazon_has_forgotten_is_given_up_and_its_money_is_free(study, turk):
    turk.faults = [("CreateHIT", "fail")] * 5
    with pytest.raises(Unanswered):
        study.launch(assignments=1)
    turk.ahead += 24 * 3600
    assert study.status()["committed_cents"] == 46  # not certain yet
    turk.ahead += 2 * 3600
    assert study.status()["committed_cents"] == 0
    assert not turk.hits


@pytest.mark.parametrize(
    ("fault", "error", "said", "hint"),
    [
        ("funds", InputError, "InsufficientFunds", "Add money"),
        ("denied", InputError, "the AWS user may not", "AmazonMechanicalTurkFullAccess"),
        ("keys", InputError, "does not accept the AWS keys", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_refusals_are_one_message_and_hold_no_money(study, turk, fault, error, said, hint, capfd):
    turk.faults = [("CreateHIT", fault)]
    with pytest.raises(error, match=said) as caught:
        study.launch(assignments=18)
    assert hint in caught.value.hint
    printed = str(caught.value) + "".join(capfd.readouterr())
    assert "AKIDEXAMPLE" not in printed
    assert "secret-of-the-test" not in printed
    assert study.status()["committed_cents"] == 0
    assert study.launch(assignments=18)["hits"] == 2


def test_without_credentials_nothing_is_sent_and_nothing_held(study, turk, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(InputError, match="Unable to locate credentials") as caught:
        study.launch(assignments=1)
    assert "aws configure" in caught.value.hint
    assert turk.asked == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    assert study.status()["committed_cents"] == 0


def test_a_payment_that_fails_is_made_by_the_next_command_and_only_once(study, turk):
    study.launch(pairs=1, assignments=2)
    (hit,) = turk.hits.values()
    for n in range(2):
        assignment = turk.accept(Worker(f"A{n}"), hit)
        turk.take_in([("assignmentId", assignment.id), ("x", "y")])
    # Nothing was voted in either: both are rejected, with the reason.
    turk.faults = [("RejectAssignment", "denied")]
    with pytest.raises(InputError, match="the AWS user may not"):
        study.do(mturk.approve)
    assert study.do(mturk.approve)["rejected"] == 2
    assert study.do(mturk.approve)["rejected"] == 0
    assert {each.feedback for each in hit.assignments} == {
        "No comparison was rated in this assignment, so there is no work to pay for."
    }
    # A rejection can be overturned for thirty days: its money stays in the budget.
    seen = study.status()
    assert (seen["spent_cents"], seen["committed_cents"]) == (0, 2 * hit.unit() * 100)


def test_a_paused_study_asks_for_nothing_and_leaves_the_market(study, turk):

    study.launch()
    study.store.now(pause, True)
    with pytest.raises(
        InputError, match=r"the study is paused.*2 open HITs were taken off"
    ) as told:
        study.launch()
    assert "veneer rate resume" in told.value.hint
    assert turk.seen_by(Worker("A1")) == []


def test_typed_values_that_cannot_be_are_refused_before_anything_is_asked(study, turk):
    wrong = [
        {"budget_usd": "abc"}, {"budget_usd": "-5"}, {"budget_usd": "1.005"},
        {"budget_usd": float("nan")}, {"pairs": 0}, {"pairs": 16}, {"assignments": 0},
        {"seconds_per_pair": 0.0}, {"seconds_per_pair": float("inf")}, {"reserve": -1.0},
        {"lifetime_hours": 0.0}, {"hourly_usd": "free"}, {"public_url": "rate.example.org"},
    ]  # fmt: skip
    for given in wrong:
        with pytest.raises(InputError) as caught:
            study.launch(**given)
        assert caught.value.hint, given
    assert "CreateHIT" not in turk.asked
