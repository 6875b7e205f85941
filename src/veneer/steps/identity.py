"""A strict fingerprint: one encoding for each value, and an error for what has none."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Mapping, Set
from typing import Any

from pydantic import BaseModel


def encode(value: Any, where: str = "value") -> Any:
    """The one JSON form of a value that decides a result.

    Tagged where JSON would confuse two types (a set with a list, an enum with its value).
    There is no `str()` fallback: a lambda, an open file, a path or an object with a default
    repr raises TypeError that names the place, since its text says nothing about its content.
    """
    if isinstance(value, enum.Enum):
        return {"!enum": type(value).__name__, "name": value.name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} cannot be part of a fingerprint")
        return {"!float": value.hex()}
    if isinstance(value, bytes):
        return {"!bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {"!model": type(value).__name__, "fields": _mapping(fields, where)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"!dataclass": type(value).__name__, "fields": _mapping(fields, where)}
    if isinstance(value, Mapping):
        return _mapping(value, where)
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Set):
        members = [encode(item, where) for item in value]
        return {"!set": sorted(members, key=_canonical)}
    raise TypeError(
        f"{where}: a {type(value).__name__} has no encoding for fingerprints; "
        "pass plain values, frozen models, or a file by its content"
    )


def _mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for key in value:
        if not isinstance(key, str) or key.startswith("!"):
            raise TypeError(f"{where}: {key!r} cannot be a key in a fingerprint")
    return {key: encode(value[key], f"{where}.{key}") for key in sorted(value)}


def _canonical(encoded: Any) -> str:
    return json.dumps(encoded, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """12 hex digits of SHA-256 over the strict encoding."""
    return hashlib.sha256(_canonical(encode(value)).encode()).hexdigest()[:12]
