"""What a HIT says to Mechanical Turk: where its pages are, who may work on it, what it pays."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

APPROVED_PERCENT, APPROVED_HITS = 95, 100
COUNTRIES = ("US", "GB", "CA", "AU", "NZ", "IE")
"""Countries where most people's first language is English."""
AUTO_APPROVAL_SECONDS = 3 * 24 * 3600
"""A worker whose work nobody looked at is paid after three days."""

_SCHEMA = (
    "http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/"
    "ExternalQuestion.xsd"
)
_TITLE_LETTERS, _SHORTEST_SECONDS = 128, 900


def external_question(url: str, frame_height: int = 0) -> str:
    """The XML of an ExternalQuestion. `frame_height` in pixels; 0 fills the worker's window."""
    return (
        f'<ExternalQuestion xmlns="{_SCHEMA}"><ExternalURL>{escape(url)}</ExternalURL>'
        f"<FrameHeight>{frame_height}</FrameHeight></ExternalQuestion>"
    )


def qualifications() -> list[dict[str, Any]]:
    """The paper's workers (App. B): at least 95 % approved, 100 HITs, English-speaking countries.

    Others do not see the HIT at all, so that nobody reads instructions for work they cannot take.
    """
    wanted: list[dict[str, Any]] = [
        {
            "QualificationTypeId": "000000000000000000L0",  # PercentAssignmentsApproved
            "Comparator": "GreaterThanOrEqualTo",
            "IntegerValues": [APPROVED_PERCENT],
        },
        {
            "QualificationTypeId": "00000000000000000040",  # NumberHITsApproved
            "Comparator": "GreaterThanOrEqualTo",
            "IntegerValues": [APPROVED_HITS],
        },
        {
            "QualificationTypeId": "00000000000000000071",  # Locale
            "Comparator": "In",
            "LocaleValues": [{"Country": country} for country in COUNTRIES],
        },
    ]
    return [each | {"ActionsGuarded": "DiscoverPreviewAndAccept"} for each in wanted]


def hit_request(
    *,
    token: str,
    url: str,
    title: str,
    pairs: int,
    reward_cents: int,
    assignments: int,
    seconds_per_pair: float,
    lifetime_seconds: int,
    anyone: bool = False,
) -> dict[str, Any]:
    """The parameters of CreateHIT.

    The token stands in the annotation too, which the requester alone sees, so that the HIT can be
    found when Amazon has forgotten the token (after 24 hours).
    """
    ending = f": which of two answers is better? ({pairs} comparisons)"
    minutes = max(1, round(pairs * seconds_per_pair / 60))
    return {
        "UniqueRequestToken": token,
        "RequesterAnnotation": token,
        "Title": title[: _TITLE_LETTERS - len(ending)] + ending,
        "Description": (
            f"Read a question and two answers, and say which answer is better overall. "
            f"{pairs} comparisons, about {minutes} minutes. You may do this task several times: "
            "no comparison comes twice."
        ),
        "Keywords": "compare, text, answers, quality, English, reading",
        "Question": external_question(url),
        "Reward": f"{reward_cents // 100}.{reward_cents % 100:02d}",
        "MaxAssignments": assignments,
        "LifetimeInSeconds": lifetime_seconds,
        "AssignmentDurationInSeconds": max(_SHORTEST_SECONDS, round(pairs * seconds_per_pair * 4)),
        "AutoApprovalDelayInSeconds": AUTO_APPROVAL_SECONDS,
        "QualificationRequirements": [] if anyone else qualifications(),
    }
