"""Money in whole cents, and the one endpoint that costs any."""

import math
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from fractions import Fraction

import boto3
import pytest
from crowd_study import Study, made_up_keys
from hypothesis import given
from hypothesis import strategies as st
from mturk_server import FakeTurk

from veneer.errors import InputError, StepFailed
from veneer.raters.crowds import aws, mturk, pay, plan
from veneer.raters.store import StudyState


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path):
    made_up_keys(monkeypatch, tmp_path)


SANDBOX = "https://mturk-requester-sandbox.us-east-1.amazonaws.com"
PRODUCTION = "https://mturk-requester.us-east-1.amazonaws.com"


def test_the_sandbox_is_what_one_gets_and_production_what_the_flag_gives():
    # The addresses as boto3 itself knows them, and as Amazon's reference gives the sandbox's.
    plain = boto3.session.Session().client("mturk", region_name="us-east-1")
    assert plain.meta.endpoint_url == aws.PRODUCTION == PRODUCTION
    assert aws.client_of(False).meta.endpoint_url == SANDBOX
    assert aws.client_of(True).meta.endpoint_url == PRODUCTION


@pytest.mark.parametrize(
    "endpoint",
    [
        PRODUCTION,
        PRODUCTION + "/",
        "https://MTURK-requester.us-east-1.amazonaws.com",
        "https://mturk-requester.us-east-1.amazonaws.com.",
        "https://mturk-requester.us-east-1.amazonaws.com:443/x",
        "http://mturk-requester.us-east-1.amazonaws.com",
        "https://mturk-requester-fips.us-east-1.amazonaws.com",
        "https://mturk.my-proxy.example.org",
        "https://mturk-requester-sandbox.us-east-1.amazonaws.com@mturk-requester.us-east-1.amazonaws.com",
        "https://127.0.0.1@mturk-requester.us-east-1.amazonaws.com",
        "https://127.0.0.1.mturk-requester.us-east-1.amazonaws.com",
        "",
    ],
)
def test_no_endpoint_leads_to_production_without_the_flag(endpoint):
    with pytest.raises(InputError, match="real money needs --production"):
        aws.client_of(False, endpoint)


def test_the_flag_and_another_endpoint_contradict_each_other():
    for endpoint in (SANDBOX, "https://mturk.my-proxy.example.org"):
        with pytest.raises(InputError, match="is not Mechanical Turk's production endpoint"):
            aws.client_of(True, endpoint)


@pytest.mark.parametrize("where", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_MTURK", "file", "service"])
def test_configured_endpoints_are_ignored(monkeypatch, tmp_path, where):
    if where.startswith("AWS"):
        monkeypatch.setenv(where, PRODUCTION)
    elif where == "file":
        (tmp_path / "aws-config").write_text(f"[default]\nendpoint_url = {PRODUCTION}\n")
    else:
        (tmp_path / "aws-config").write_text(
            f"[default]\nservices = ours\n[services ours]\nmturk =\n  endpoint_url = {PRODUCTION}\n"
        )
    plain = boto3.session.Session().client("mturk", region_name="eu-west-1")
    assert plain.meta.endpoint_url == PRODUCTION
    client = aws.client_of(False)
    assert client.meta.endpoint_url == SANDBOX
    # A sandbox turned into production after it was opened sends nothing either.
    client._endpoint.host = PRODUCTION
    client.meta._endpoint_url = PRODUCTION
    client._ruleset_resolver = None
    client.meta.events.register_last("before-send.mturk", _never)
    with pytest.raises(StepFailed, match="another endpoint"):
        client.get_account_balance()


def _never(request, **_):
    raise AssertionError(f"a request left for {request.url}")


def test_production_needs_https_a_budget_and_qualified_workers(tmp_path):
    turk = FakeTurk()
    study = Study(turk, tmp_path)
    with pytest.raises(InputError, match="is not https"):
        study.launch(production=True)
    secure = {"public_url": "https://rate.example.org", "production": True}
    with pytest.raises(InputError, match="No budget was given"):
        study.launch(**secure, budget_usd=None)
    with pytest.raises(InputError, match="Without qualifications"):
        study.launch(**secure, anyone=True)
    with pytest.raises(InputError, match="is not https"):
        study.launch(endpoint_url=None)  # the real sandbox
    assert turk.asked == []
    # With all of them it goes ahead, and its money is not the sandbox's.
    assert study.launch(**secure, assignments=2)["environment"] == "production"
    assert study.launch(assignments=1, anyone=True)["environment"] == "sandbox"
    real, open_to_all = turk.hits.values()
    assert "https://rate.example.org/c/" in real.request["Question"]
    assert len(real.request["QualificationRequirements"]) == 3
    assert open_to_all.request["QualificationRequirements"] == []
    assert study.do(mturk.status, production=True)["committed_cents"] == 92
    assert study.do(mturk.status)["committed_cents"] == 46
    study.store.close()
    turk.close()


def test_rewards_round_up_to_a_cent():
    assert pay.reward(10, 45) == 188  # 450 s at $15 an hour: $1.875
    assert pay.reward(1, 24) == 10  # exactly ten cents
    assert pay.reward(3, 30.000000000000004) == 38
    assert pay.reward(1, 0.1) == 1


@given(st.integers(1, 200), st.integers(1, 600_000), st.integers(1, 10_000))
def test_a_reward_is_the_least_that_pays_the_hour(pairs, milliseconds, hourly):
    reward = pay.reward(pairs, milliseconds / 1000, hourly)
    earned = Decimal(pairs * milliseconds) / 3_600_000 * hourly
    assert reward == max(1, int(earned.to_integral_value(ROUND_CEILING)))


@given(st.integers(1, 100_000), st.integers(1, 30))
def test_fees_are_never_below_amazons(reward, assignments):
    share = Decimal("0.4") if assignments >= 10 else Decimal("0.2")
    price = (reward * share).to_integral_value(ROUND_HALF_UP)
    fee = pay.mturk_fee(reward, assignments)
    assert max(1, price) <= fee <= max(1, price + 1)


@given(
    st.integers(1, 40), st.integers(0, 10), st.integers(1, 4), st.data()
)  # fmt: skip
def test_assignments_cover_what_is_missing_and_one_less_does_not(pairs, gold, ratings, data):
    facts = _facts(pairs, gold, ratings)
    each = data.draw(st.integers(1, pairs + gold))
    votes = data.draw(st.integers(0, pairs * ratings))
    leased = data.draw(st.integers(0, pairs * ratings - votes))
    available = data.draw(st.integers(0, 20))
    state = StudyState(
        pairs, ratings, votes, leased, 0, False, {}, None, 0.0, None, None, 0, 0, 0
    )  # fmt: skip
    need = plan.need(facts, state, each, available=available, reserve=0)
    bring = Fraction(each * pairs, pairs + gold)
    missing = pairs * ratings - votes - leased
    assert need.missing == missing
    assert (available + need.assignments) * bring >= missing
    if need.assignments:
        assert (available + need.assignments - 1) * bring < missing
    more = plan.need(facts, state, each, available=available, reserve=0.25)
    assert more.assignments - need.assignments == more.reserve == math.ceil(need.assignments / 4)
    parts = plan.split(more.assignments)
    assert sum(parts) == more.assignments
    assert all(1 <= part <= 9 for part in parts)


def _facts(pairs, gold, ratings):
    from types import SimpleNamespace

    return SimpleNamespace(facts=SimpleNamespace(pairs=pairs, gold=gold, ratings=ratings))
