"""Published recipes by name."""

from __future__ import annotations

from typing import Any

from veneer.errors import SpecError, nearest

PRESETS: dict[str, dict[str, Any]] = {"paper": {}}


def preset(name: str) -> dict[str, Any]:
    """The fields of a published recipe; an unknown name is a SpecError."""
    if name not in PRESETS:
        raise SpecError(f"There is no recipe {name!r}.", nearest(name, PRESETS))
    return PRESETS[name]
