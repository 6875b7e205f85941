"""The way to Amazon: which endpoint, and what its errors mean to the person at the keyboard."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.loaders import Loader

from veneer.errors import InputError, StepFailed, VeneerError

SANDBOX = "https://mturk-requester-sandbox.us-east-1.amazonaws.com"
PRODUCTION = "https://mturk-requester.us-east-1.amazonaws.com"
REGION = "us-east-1"
"""The one region that Mechanical Turk is in."""


def environment(production: bool, endpoint_url: str | None) -> str:
    """The endpoint that requests go to.

    Without `production` only the sandbox and this machine itself (a stand-in for tests) can be
    reached, so that no alias, proxy or other name of Amazon's leads to real money.

    Raises:
        InputError: any other endpoint.
    """
    if endpoint_url is None:
        return PRODUCTION if production else SANDBOX
    given = endpoint_url.rstrip("/")
    if on_this_machine(given) or given == (PRODUCTION if production else SANDBOX):
        return given
    if production:
        raise InputError(
            f"{endpoint_url} is not Mechanical Turk's production endpoint.",
            f"Leave it out: with --production requests go to {PRODUCTION}",
        )
    raise InputError(
        f"{endpoint_url} is not Mechanical Turk's sandbox, and real money needs --production.",
        f"Leave it out: requests go to {SANDBOX}",
    )


def on_this_machine(url: str) -> bool:
    """Whether a URL names this machine by a loopback address, which no other can answer for."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_of(production: bool, endpoint_url: str | None = None) -> Any:
    """A client of Mechanical Turk, bound to `environment(production, endpoint_url)`.

    The endpoint is given outright, configured ones (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_MTURK, the
    profile's endpoint_url) are told to be ignored, and each request is looked at once more before
    it leaves. Throttling and failures of the server are tried anew by botocore's standard mode.
    """
    endpoint = environment(production, endpoint_url)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        ignore_configured_endpoint_urls=True,
        proxies={} if on_this_machine(endpoint) else None,
    )
    with asked("open Mechanical Turk"):
        session = botocore.session.get_session()
        session.register_component("data_loader", _loader())
        client = boto3.session.Session(botocore_session=session).client(
            "mturk", region_name=REGION, endpoint_url=endpoint, config=config
        )

    def only_there(request: Any, **_: Any) -> None:
        if urlsplit(request.url)[:2] != urlsplit(endpoint)[:2]:
            raise StepFailed("A request was about to leave for another endpoint; it was not sent.")

    if client.meta.endpoint_url != endpoint:
        raise StepFailed(
            "Mechanical Turk's client took another endpoint than the one it was given."
        )
    client.meta.events.register("before-send.mturk", only_there)
    return client


@functools.cache
def _loader() -> Loader:
    """Amazon's models of its services, read once: `watch` opens a client at every look."""
    return Loader()


class Unanswered(StepFailed):
    """Nobody knows whether Amazon did what was asked: no answer came, or a failure of its own."""


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Turn what botocore raises into one error that says what to do.

    Raises:
        InputError: credentials, rights or funds are missing.
        Unanswered: whether it was done is not known.
        StepFailed: Amazon refused, and nothing was done.
    """
    try:
        yield
    except VeneerError:
        raise
    except ClientError as error:
        raise _told(what, error) from None
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise InputError(f"Cannot {what}: {_plain(error)}", _KEYS) from None
    except BotoCoreError as error:
        raise Unanswered(f"Cannot {what}: {_plain(error)}", _AGAIN) from None


def code_of(error: ClientError) -> str:
    """Mechanical Turk's own code of a refusal, such as AWS.MechanicalTurk.HitAlreadyExists."""
    return str(error.response.get("TurkErrorCode") or error.response["Error"].get("Code", ""))


def refused_outright(error: ClientError) -> bool:
    """Whether Amazon's first and only answer was a refusal, so that nothing can have been done."""
    answer = error.response.get("ResponseMetadata", {})
    return not answer.get("RetryAttempts") and not _unsure(error)


def _unsure(error: ClientError) -> bool:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return (
        status >= 500
        or code == "ServiceFault"
        or any(word in code for word in ("Throttl", "TooManyRequests", "RequestTimeout"))
    )


_AGAIN = (
    "Run the same command again: it clears up what was under way first, and pays nothing twice."
)
_KEYS = (
    "Give the keys of an AWS account that is linked to your Mechanical Turk requester account, in "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or by  aws configure"
)
_BAD_KEYS = (
    "UnrecognizedClient", "InvalidClientTokenId", "ExpiredToken", "SignatureDoesNotMatch",
    "InvalidSignature", "IncompleteSignature", "MissingAuthenticationToken", "AuthFailure",
)  # fmt: skip


def _told(what: str, error: ClientError) -> VeneerError:
    code = code_of(error)
    said = " ".join(str(error.response["Error"].get("Message", "")).split())[:300]
    message = f"Cannot {what}: Amazon says {code}" + (f": {said}" if said else ".")
    if any(name in code for name in _BAD_KEYS):
        # Not Amazon's own words: those may repeat the key's id.
        return InputError(f"Cannot {what}: Amazon does not accept the AWS keys ({code}).", _KEYS)
    if "InsufficientFunds" in code:
        return InputError(
            message, "Add money to the requester account at https://requester.mturk.com/account"
        )
    if "AccessDenied" in code or "NotAuthorized" in code or "not authorized" in said:
        return InputError(
            f"Cannot {what}: the AWS user may not do this ({code}).",
            "Give it the policy AmazonMechanicalTurkFullAccess.",
        )
    if "must be linked" in said or "RequesterNotLinked" in code:
        return InputError(
            message, "Link the AWS account at https://requester.mturk.com/developer first."
        )
    if _unsure(error):
        return Unanswered(message, _AGAIN)
    return StepFailed(message, "Nothing was done by this request; what was done before is kept.")


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
