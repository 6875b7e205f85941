"""Where votes are kept: leases, votes and people, in SQLite or Postgres.

Needs the packages of the extra `raters`.
"""

from veneer.raters.store.opening import Store, open_store
from veneer.raters.store.terms import (
    Assigned,
    Idle,
    Next,
    RaterState,
    Refused,
    Session,
    StoreAway,
    StudyState,
)

__all__ = [
    "Assigned",
    "Idle",
    "Next",
    "RaterState",
    "Refused",
    "Session",
    "Store",
    "StoreAway",
    "StudyState",
    "open_store",
]
