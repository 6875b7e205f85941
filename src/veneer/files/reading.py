"""The records of any file, streamed: which kind it is, is told by its content more than its name.

    .csv .tsv           a table with a header row         .parquet    Parquet
    .txt                a text a line                     hub:NAME    a data set of the hub
    anything else       a JSON array, JSON Lines, or one JSON object that holds a list under
                        "data", "rows", "records" or "examples"

Each of the text formats may be gzipped, whatever its name.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from veneer.errors import InputError
from veneer.files.arrays import array_entries
from veneer.files.lines import json_lines, text_lines
from veneer.files.opening import Damaged, open_bytes
from veneer.files.tables import delimited_rows, hub_rows, parquet_rows
from veneer.files.values import Record

HUB = "hub:"
CHUNK = 1 << 16

_BOM = b"\xef\xbb\xbf"
_SCALAR = rb'(?:"(?:[^"\\]|\\.)*"|[-+.\w]+)'
_WRAPPER = re.compile(
    rb'\{\s*(?:"[^"\\]*"\s*:\s*' + _SCALAR + rb'\s*,\s*)*"(?:data|rows|records|examples)"'
    rb"\s*:\s*\[(?=\s*\{)"
)


def read_records(path: str | Path) -> Iterator[Record]:
    """Every record of a file, or of a data set of the hub ("hub:org/name[@revision][:split]").

    Nothing is left out in silence: what cannot be read is a record with a reason and its text,
    and reading goes on after it. Memory: about one record (1,000 rows of a Parquet file).

    Raises:
        InputError: missing, a folder, empty, without any readable record; or gzip data that
            breaks off, raised after the records before it were given, with how many they were.
    """
    count, good = 0, 0
    worst: Record | None = None
    try:
        for record in _records(path):
            count += 1
            good += not record.broken
            worst = worst or (record if record.broken else None)
            yield record
    except Damaged as error:
        raise InputError(
            f"{error.message} {count:,} records before that could be read.", error.hint
        ) from error
    if not good:
        why = f": {worst.at}: {worst.broken}" if worst else ""
        raise InputError(
            f"{path} holds no record that can be read{why}.",
            "Give JSON Lines, a JSON array, CSV or TSV with a header, Parquet or plain text.",
        )


def fingerprint(path: str | Path) -> str:
    """16 hex digits of SHA-256 over the file's content, unzipped: equal for one data set under
    two names. "" for a data set of the hub."""
    if str(path).startswith(HUB):
        return ""
    digest = hashlib.sha256()
    with open_bytes(Path(path)) as stream:
        for chunk in _chunks(stream):
            digest.update(chunk)
    return digest.hexdigest()[:16]


def name_of(path: str | Path) -> str:
    """The file's name, or the hub id without "hub:"; how a record's origin begins."""
    text = str(path)
    return text.removeprefix(HUB) if text.startswith(HUB) else Path(text).name


def _records(path: str | Path) -> Iterator[Record]:
    if str(path).startswith(HUB):
        yield from hub_rows(str(path).removeprefix(HUB))
        return
    path = Path(path)
    with open_bytes(path) as stream:
        suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
        head, chunks = _ahead(_chunks(stream))
        if suffix == ".parquet" or head.startswith(b"PAR1"):
            yield from parquet_rows(path)
        elif suffix in (".csv", ".tsv"):
            yield from delimited_rows(path, _lines(chunks), "\t" if suffix == ".tsv" else "")
        elif suffix == ".txt":
            yield from text_lines(_lines(chunks))
        else:
            yield from _json_records(head, chunks)


def _json_records(head: bytes, chunks: Iterator[bytes]) -> Iterator[Record]:
    text = head.removeprefix(_BOM).lstrip()
    first, newline, after = text.partition(b"\n")
    alike = after.lstrip().startswith(text[:1]) and bool(newline)
    several = alike and _is_json(first)
    wrapper = _WRAPPER.match(text)
    if several or not (text.startswith(b"[") or wrapper):
        yield from json_lines(_lines(chunks))
        return
    skipped = len(head) - len(text) + (wrapper.end() if wrapper else 1)
    yield from array_entries(_pieces(chunks, skipped), wrapped=bool(wrapper))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


# ---- bytes to text --------------------------------------------------------------------------


def _chunks(stream: object) -> Iterator[bytes]:
    read = stream.read1  # type: ignore[attr-defined]
    while chunk := read(CHUNK):
        yield chunk


def _ahead(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes (`CHUNK` of them, if there are as many), and all chunks, those included.

    Damage met on the way is raised where it stands among the chunks.
    """
    held: list[bytes] = []
    damage: list[Damaged] = []
    try:
        while sum(map(len, held)) < CHUNK and (chunk := next(chunks, b"")):
            held.append(chunk)
    except Damaged as error:
        damage.append(error)

    def everything() -> Iterator[bytes]:
        yield from held
        for error in damage:
            raise error
        yield from chunks

    return b"".join(held), everything()


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines with their newline; bytes that are no UTF-8 become lone surrogates."""
    for number, line in enumerate(_byte_lines(chunks)):
        if number == 0:
            line = line.removeprefix(_BOM)
        yield line.decode("utf-8", "surrogateescape")


def _byte_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    open_line: list[bytes] = []
    for chunk in chunks:
        lines = chunk.split(b"\n")
        for line in lines[:-1]:
            yield b"".join((*open_line, line, b"\n"))
            open_line = []
        open_line.append(lines[-1])
    if rest := b"".join(open_line):
        yield rest


def _pieces(chunks: Iterable[bytes], skipped: int) -> Iterator[str]:
    """The text after the first `skipped` bytes, in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        rest = chunk[skipped:]
        skipped -= len(chunk) - len(rest)
        if rest:
            yield decoder.decode(rest)
    yield decoder.decode(b"", final=True)
