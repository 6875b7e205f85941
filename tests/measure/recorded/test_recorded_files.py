"""Broken files: one message each, with the place and what to do."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.measure.recorded.files import read_object, read_rows_of

ROWS = [{"a": 1}, {"a": "ü\u2028x"}, {"a": [None, True]}]


def lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("shape", ["lines", "array", "pretty", "blank lines", "bom", "no last \\n"])
@pytest.mark.parametrize("zipped", [False, True])
def test_every_shape_reads_the_same(tmp_path, shape, zipped) -> None:
    text = {
        "lines": lines(ROWS),
        "array": json.dumps(ROWS),
        "pretty": json.dumps(ROWS, indent=2),
        "blank lines": "\n" + lines(ROWS).replace("\n", "\n\n"),
        "bom": "\ufeff" + lines(ROWS),
        "no last \\n": lines(ROWS).rstrip("\n"),
    }[shape]
    raw = text.encode()
    path = tmp_path / ("f.jsonl.gz" if zipped else "f.jsonl")
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    assert [row.fields for row in read_rows_of(path)] == ROWS


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), min_size=1, max_size=5))
def test_whatever_json_writes_is_read_back(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("any") / "f.jsonl"
    path.write_text(lines(rows), encoding="utf-8")
    assert [row.fields for row in read_rows_of(path)] == rows
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    assert [row.fields for row in read_rows_of(path)] == rows


def broken(tmp_path, raw: bytes, name: str = "f.jsonl") -> str:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_rows_of(path)
    assert caught.value.hint, "the message ends in what to do"
    assert str(path) in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.message


def test_missing(tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_rows_of(tmp_path / "none.jsonl")


def test_a_models_name_is_not_a_path(tmp_path, monkeypatch) -> None:
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    for name in ("gpt-4-turbo", "gpt-3.5-turbo-0301"):
        with pytest.raises(InputError) as caught:
            read_rows_of(Path(name))
        assert "looks like a model's name" in caught.value.hint


def test_a_folder(tmp_path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_rows_of(tmp_path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.95])
def test_truncated_gzip(tmp_path, kept) -> None:
    whole = gzip.compress(lines(ROWS * 200).encode())
    assert "truncated" in broken(tmp_path, whole[: int(len(whole) * kept)], "f.jsonl.gz")


def test_damaged_gzip(tmp_path) -> None:
    whole = bytearray(gzip.compress(lines(ROWS * 200).encode()))
    whole[30] ^= 0xFF
    assert "gzip" in broken(tmp_path, bytes(whole), "f.jsonl.gz")


def test_gzip_by_name_only(tmp_path) -> None:
    assert "holds no gzip data" in broken(tmp_path, b'{"a": 1}\n', "f.jsonl.gz")


@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_broken_line_is_named(tmp_path, number) -> None:
    text = [json.dumps({"k": k}) for k in range(10)]
    text[number - 1] = '{"k": '
    message = broken(tmp_path, "\n".join(text).encode())
    assert f"line {number}: broken JSON" in message


def test_a_broken_array_names_its_line(tmp_path) -> None:
    assert "line 3" in broken(tmp_path, b'[\n {"a": 1},\n {"a": }\n]')


@pytest.mark.parametrize("raw", [b"", b"  \n\n", b"[]", b"[ ]\n"])
def test_empty(tmp_path, raw) -> None:
    assert "empty" in broken(tmp_path, raw)


def test_rows_that_are_no_objects(tmp_path) -> None:
    assert "line 2: a list" in broken(tmp_path, b'{"a": 1}\n[1]\n')
    assert "entry 1: a int" in broken(tmp_path, b"[1, 2]")


def test_one_object_is_not_rows(tmp_path) -> None:
    assert "one JSON object" in broken(tmp_path, json.dumps({"a": {"b": 1}}, indent=1).encode())


def test_not_utf8(tmp_path) -> None:
    assert "line 2: not UTF-8" in broken(tmp_path, b'{"a": 1}\n{"a": "\xe9"}\n')


def test_a_single_object_is_found(tmp_path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{\n "a": 1\n}')
    assert read_object(path) == {"a": 1}
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert read_object(path) is None


@pytest.mark.parametrize("wrap", ["{}", "[{}]"])
def test_half_a_character_is_replaced_as_no_file_can_hold_it(tmp_path, wrap):
    path = tmp_path / "half.jsonl"
    path.write_text(wrap.format(r'{"a": "x\ud83d", "b": ["\ud83d\ude00"]}'))
    (row,) = read_rows_of(path)
    assert row.fields == {"a": "x\ufffd", "b": ["\U0001f600"]}


@pytest.mark.parametrize(
    ("text", "why"), [("9" * 5000, "too many digits"), ("[" * 100_000, "nested too deeply")]
)
def test_what_the_reader_of_json_cannot_take_is_told_with_its_line(tmp_path, text, why):
    path = tmp_path / "odd.jsonl"
    path.write_text('{"a": 1}\n{"a": ' + text + "}\n")
    with pytest.raises(InputError, match=f"line 2: not JSON .*{why}"):
        read_rows_of(path)
