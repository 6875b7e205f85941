"""The licence ledger: under which published terms each part of a corpus stands.

What is known of licences, data sets and teachers is in `terms.yaml` beside this file, with the
version that each entry goes by; a file of the user's own extends and overrides it. This is a
reading of public documents and no legal advice: it says what to look up, and before training
rather than after.

A part of a corpus has a licence, a source and a teacher, and each may restrict it: what a line
permits is the strictest of them ("forbidden", then "unknown", then "allowed").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from veneer.errors import InputError
from veneer.records import LedgerLine, Record

Permission = Literal["allowed", "unknown", "forbidden"]
Purpose = Literal["compete", "commercial"]
STRICTNESS: tuple[Permission, ...] = ("allowed", "unknown", "forbidden")
PURPOSES: tuple[Purpose, ...] = ("compete", "commercial")
NO_ADVICE = (
    "A reading of published terms at the dates given, not legal advice: terms change, and whom "
    "they bind is for a lawyer to say."
)


class Terms(Record):
    """What an entry of terms.yaml permits; `licence` stands for that licence's terms."""

    name: str = ""
    licence: str = ""
    compete: Permission = "unknown"
    commercial: Permission = "unknown"
    as_of: str = ""
    grounds: str = ""


class Licence(Terms):
    """Terms of a licence, under each of its `names`."""

    names: tuple[str, ...] = Field(min_length=1)


class Matched(Terms):
    """Terms of what `match` fits."""

    match: str

    @field_validator("match")
    @classmethod
    def _is_an_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value


class Source(Matched):
    """Terms of a data set; `teacher` wrote its answers where no record says who did."""

    teacher: str = ""


class Book(Record):
    """All entries; the first that fits counts."""

    licences: tuple[Licence, ...] = ()
    sources: tuple[Source, ...] = ()
    teachers: tuple[Matched, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Book:
        names = [_licence_key(name) for each in self.licences for name in each.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"a licence is listed twice: {', '.join(twice)}")
        return self

    def licence(self, name: str) -> Terms | None:
        """Terms of a licence, however its name is spelt."""
        key = _licence_key(name)
        for each in self.licences:
            if key in {_licence_key(known) for known in each.names}:
                return each.model_copy(update={"name": name})
        return None

    def source(self, name: str) -> Source | None:
        """Terms of a data set."""
        key = re.sub(r"[\s_]+", "-", name.strip().lower())
        names = {key, key.rsplit("/", 1)[-1]}
        return next(
            (s for s in self.sources if any(re.fullmatch(s.match, each) for each in names)), None
        )

    def teacher(self, name: str) -> Matched | None:
        """Terms of a model's answers."""
        full = name.strip().lower().replace(" ", "-")
        names = (full, full.rsplit("/", 1)[-1].rsplit(":", 1)[-1], full.partition(":")[2])
        return next(
            (t for t in self.teachers if any(re.match(t.match, each) for each in names)), None
        )


def ledger(
    counts: Mapping[tuple[str, str, str], int], overrides: Path | None = None
) -> tuple[LedgerLine, ...]:
    """A line for each (source, teacher, licence) of a corpus, with its count of records.

    Lines are sorted by these three. A teacher that no record names is the one who is known to
    have written the source, in brackets ("(gpt-4)"). `overrides`: a file in the form of terms.yaml.
    """
    book = terms(overrides)
    return tuple(_line(*key, counts[key], book) for key in sorted(counts))


def terms(overrides: Path | None = None) -> Book:
    """The entries of terms.yaml, after those of the user's own file."""
    own = _shipped()
    if overrides is None:
        return own
    given = _read(overrides)
    replaced = {_licence_key(name) for each in given.licences for name in each.names}
    kept = []
    for each in own.licences:
        names = tuple(name for name in each.names if _licence_key(name) not in replaced)
        if names:
            kept.append(each.model_copy(update={"names": names}))
    return Book(
        licences=(*given.licences, *kept),
        sources=given.sources + own.sources,
        teachers=given.teachers + own.teachers,
    )


def verdict(lines: Sequence[LedgerLine], purpose: Purpose) -> Permission:
    """What the mixture as a whole permits: its strictest line; "unknown" for no line at all."""
    if not lines:
        return "unknown"
    return _strictest(getattr(line, purpose) for line in lines)


def conflicts(lines: Sequence[LedgerLine], corpus: str = "") -> list[str]:
    """What to say before training: a sentence for each party that forbids, one for all unknown.

    `corpus` is the name that the sentences begin with. The grounds are in the lines.
    """
    what = f"Corpus {corpus}" if corpus else "The corpus"
    found = []
    for line, count in _forbidding(lines, "compete", "teacher"):
        found.append(
            f"{what} mixes {count} whose teacher forbids training competing models ({line})."
        )
    for line, count in _forbidding(lines, "commercial", "licence"):
        found.append(f"{what} mixes {count} whose terms forbid commercial use ({line}).")
    unsettled = [line for line in lines if "unknown" in (line.compete, line.commercial)]
    if unsettled:
        found.append(
            f"{what} mixes {_records(unsettled)} under terms that are not known "
            f"({_sources(unsettled)}): look them up and add them to a terms file."
        )
    return found


def _forbidding(
    lines: Sequence[LedgerLine], purpose: Purpose, party: Literal["teacher", "licence"]
) -> list[tuple[str, str]]:
    """("who; from which sources", "how many records") of each party with lines that forbid."""
    groups: dict[str, list[LedgerLine]] = {}
    for line in lines:
        if getattr(line, purpose) == "forbidden":
            groups.setdefault(getattr(line, party), []).append(line)
    return [
        (f"{who.strip('()') or 'not named'}; from {_sources(group)}", _records(group))
        for who, group in sorted(groups.items())
    ]


def _sources(lines: Sequence[LedgerLine]) -> str:
    return ", ".join(sorted({line.source or "an unnamed source" for line in lines}))


def _line(source: str, teacher: str, licence: str, count: int, book: Book) -> LedgerLine:
    known = book.source(source)
    parts = []
    if licence.strip():
        parts.append(book.licence(licence) or Terms(name=licence, grounds="Not in the list."))
    if known:
        parts += _resolved(known, book)
    if not parts:
        parts.append(Terms(name=source or "source", grounds="No licence is stated."))
    if not teacher.strip() and known and known.teacher:
        teacher = f"({known.teacher})"
    if teacher.strip():
        who = book.teacher(teacher.strip("()"))
        parts += _resolved(who, book) if who else [Terms(name=teacher, grounds="Not in the list.")]
    else:
        parts.append(Terms(name="teacher", grounds="Who wrote the answers is not stated."))
    return LedgerLine(
        source=source,
        teacher=teacher,
        licence=licence or (known.licence if known else ""),
        records=count,
        compete=_strictest(part.compete for part in parts),
        commercial=_strictest(part.commercial for part in parts),
        grounds=" ".join(dict.fromkeys(map(_grounds, reversed(parts)))),
    )


def _resolved(entry: Terms, book: Book) -> list[Terms]:
    """An entry with the terms of the licence that it names."""
    if not entry.licence:
        return [entry]
    named = book.licence(entry.licence)
    if named is None:
        return [entry.model_copy(update={"grounds": f"{entry.licence} is not in the list."})]
    added = f" {entry.grounds}" if entry.grounds else ""
    update = {
        "name": f"{entry.name} ({entry.licence})",
        "as_of": entry.as_of or named.as_of,
        "grounds": named.grounds + added,
    }
    return [named.model_copy(update=update)]


def _grounds(part: Terms) -> str:
    dated = f" ({part.as_of})" if part.as_of else ""
    return f"{part.name}{dated}: {part.grounds or 'No grounds given.'}"


def _strictest(permissions: Any) -> Permission:
    return max(permissions, key=STRICTNESS.index)


def _records(lines: Sequence[LedgerLine]) -> str:
    count = sum(line.records for line in lines)
    return f"{count:,} record{'' if count == 1 else 's'}"


def _licence_key(name: str) -> str:
    """ "CC BY-NC 4.0", "cc-by-nc-4.0" and "CC_BY_NC-4.0 licence" are one name."""
    bare = re.sub(r"\(.*?\)|\b(?:the|licen[cs]ed?|version|international)\b", " ", name.lower())
    return "-".join(re.findall(r"[a-z0-9.+]+", re.sub(r"\bv(?=\d)", "", bare)))


@functools.cache
def _shipped() -> Book:
    return _read(Path(__file__).with_name("terms.yaml"))


def _read(path: Path) -> Book:
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Check the path of the terms file.")
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=_PlainDates)
        return Book.model_validate(content or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}.", "Mend the file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise InputError(
            f"{path}, {where or 'as a whole'}: {first['msg']}.",
            "Write `licences`, `sources` and `teachers` as in veneer/corpus/terms.yaml.",
        ) from error


class _PlainDates(yaml.SafeLoader):
    """Dates stay as they are written."""


_PlainDates.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
