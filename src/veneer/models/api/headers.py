"""Numbers and times in a provider's response headers."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping

_PART = re.compile(r"([\d.]+)(ms|[dhms])")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def number(text: str | None) -> float | None:
    """A finite number, None for anything else."""
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def span(text: str | None) -> float | None:
    """Seconds of a duration such as "6m0s", "120ms" or "1.5"."""
    if text is None or (plain := number(text)) is not None:
        return None if text is None else plain
    parts = [(number(amount), _UNITS[unit]) for amount, unit in _PART.findall(text)]
    return sum((amount or 0.0) * unit for amount, unit in parts)


def seconds_to_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """What `retry-after-ms` or `retry-after` (seconds or an HTTP date) asks for; None for nothing.

    Never negative; no upper bound: a provider that says an hour means it. `now`: Unix time.
    """
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = number(headers.get(name))
        if value is not None and value >= 0:
            return value * unit
    try:
        then = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return None
    return max(0.0, then.timestamp() - (time.time() if now is None else now))
