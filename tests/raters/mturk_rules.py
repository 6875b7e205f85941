"""What Amazon's reference asks of a HIT, and how it tells who may work on one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit
from xml.etree import ElementTree

SCHEMAS = "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas"
PERCENT, HITS, LOCALE = "000000000000000000L0", "00000000000000000040", "00000000000000000071"


class Refusal(Exception):
    def __init__(self, code: str, message: str, kind: str = "RequestError", status: int = 400):
        super().__init__(message)
        self.body = {"__type": kind, "Message": message, "TurkErrorCode": code}
        self.status = status


@dataclass
class Worker:
    """One worker as Amazon knows them."""

    id: str
    percent: int = 99
    hits: int = 5000
    country: str = "US"

    def meets(self, requirement: dict) -> bool:
        wanted = requirement.get("IntegerValues", [])
        match requirement["QualificationTypeId"], requirement["Comparator"]:
            case (kind, "GreaterThanOrEqualTo") if kind in (PERCENT, HITS):
                return {PERCENT: self.percent, HITS: self.hits}[kind] >= wanted[0]
            case (kind, "In") if kind == LOCALE:
                return self.country in [each["Country"] for each in requirement["LocaleValues"]]
        raise AssertionError(f"an unknown requirement: {requirement}")


def external_url(question: str) -> str:
    root = ElementTree.fromstring(question)
    space = f"{{{SCHEMAS}/2006-07-14/ExternalQuestion.xsd}}"
    assert root.tag == f"{space}ExternalQuestion"
    assert [each.tag for each in root] == [f"{space}ExternalURL", f"{space}FrameHeight"]
    assert int(root[1].text or "") >= 0
    return root[0].text or ""


def check_hit(given: dict) -> None:
    """What Amazon's reference asks of CreateHIT beyond the model."""
    url = urlsplit(external_url(given["Question"]))
    rules = {
        "https": url.scheme == "https" or url.hostname == "127.0.0.1",
        "token": 0 < len(given["UniqueRequestToken"]) <= 64,
        "title": 0 < len(given["Title"]) <= 128,
        "description": 0 < len(given["Description"]) <= 2000,
        "keywords": len(given["Keywords"]) <= 1000,
        "annotation": len(given["RequesterAnnotation"]) <= 255,
        "reward": re.fullmatch(r"\d+\.\d\d", given["Reward"]) and Decimal(given["Reward"]) > 0,
        "lifetime": 30 <= given["LifetimeInSeconds"] <= 31_536_000,
        "duration": 30 <= given["AssignmentDurationInSeconds"] <= 31_536_000,
        "approval": 0 <= given["AutoApprovalDelayInSeconds"] <= 2_592_000,
        "assignments": 1 <= given["MaxAssignments"] <= 1_000_000_000,
        "qualifications": len(given["QualificationRequirements"]) <= 10,
    }
    broken = [name for name, held in rules.items() if not held]
    if broken:
        raise Refusal("AWS.MechanicalTurk.ParameterValidationError", f"wrong: {broken}")
