"""Cells of CSV files that no spreadsheet runs (OWASP, "CSV Injection")."""

from __future__ import annotations

from typing import Any

_FORMULA = "=+-@\t\r\n＝＋－＠"
"""What a spreadsheet takes for the beginning of a formula."""
_UNSEEN = " \u00a0\u200b\ufeff"


def cell(value: Any) -> Any:
    """A value to write: text that would run as a formula begins with an apostrophe."""
    if not isinstance(value, str):
        return "" if value is None else value
    first = value.lstrip(_UNSEEN)[:1]
    return f"'{value}" if first and first in _FORMULA else value
