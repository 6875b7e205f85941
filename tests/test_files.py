"""Records of any file: every good one read, every broken one counted with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.files import fingerprint, read_records
from veneer.files.values import CONTROLS, HALVES

ROWS = [{"a": 1}, {"a": "ü\u2028x\nz"}, {"a": [None, True, {"b": '}],"'}]}]


def lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(tmp_path, raw: bytes | str, name="f.jsonl"):
    path = tmp_path / name
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    return list(read_records(path))


def good(records):
    return [record.value for record in records if not record.broken]


SHAPES = {
    "lines": lines(ROWS),
    "no last newline": lines(ROWS).rstrip("\n"),
    "blank lines": "\n" + lines(ROWS).replace("}\n", "}\n\n"),
    "crlf": lines(ROWS).replace("\n", "\r\n"),
    "byte-order mark": "\ufeff" + lines(ROWS),
    "array": json.dumps(ROWS),
    "pretty array": "\ufeff" + json.dumps(ROWS, indent=2),
    "array over lines": "[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n",
    "object with a list": json.dumps({"version": "1.0", "n": -1.5, "data": ROWS, "more": [1]}),
    "pretty object": json.dumps({"rows": ROWS}, indent=1),
    "pretty records": "\n".join(json.dumps(row, indent=2) for row in ROWS),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["f.json", "f.jsonl", "f"])
def test_every_shape_reads_the_same(tmp_path, shape, zipped, name):
    raw = SHAPES[shape].encode()
    records = read(tmp_path, gzip.compress(raw) if zipped else raw, name)
    assert good(records) == ROWS
    assert len(records) == len(ROWS)


def test_places(tmp_path):
    assert [r.at for r in read(tmp_path, SHAPES["blank lines"])] == ["line 2", "line 4", "line 6"]
    assert [r.at for r in read(tmp_path, SHAPES["array"])] == ["entry 1", "entry 2", "entry 3"]
    records = read(tmp_path, SHAPES["pretty records"])
    lengths = [len(json.dumps(row, indent=2).split("\n")) for row in ROWS]
    assert [r.at for r in records] == [
        "line 1",
        f"line {lengths[0] + 1}",
        f"line {sum(lengths[:2]) + 1}",
    ]
    assert [r.mended for r in records] == [f"split over {n} lines" for n in lengths]


def test_lists_a_line_are_not_one_array(tmp_path):
    assert good(read(tmp_path, '["q", "a"]\n["r", "b"]\n')) == [["q", "a"], ["r", "b"]]
    assert good(read(tmp_path, '[["q", "a"], ["r", "b"]]\n')) == [["q", "a"], ["r", "b"]]
    once = {"id": "0", "data": [{"x": 1}]}
    assert good(read(tmp_path, lines([once, once]))) == [once, once], "records, not a wrapper"


# ---- broken records ---------------------------------------------------------------------------

BEFORE, AFTER = {"k": "before"}, {"k": "after"}
GALLERY = {
    "cut off": (b'{"k": "x", "v"', ["not JSON"]),
    "cut off in a string": (b'{"k": "x', ["not JSON"]),
    "only a brace": (b"{", ["not JSON"]),
    "python": (b"{'k': 1}", ["not JSON"]),
    "text": (b"Hello there", ["not JSON"]),
    "extra": (b'{"k": 1} {"k": 2}', ["not JSON"]),
    "invalid UTF-8": (b'{"k": "caf\xe9"}', ["not UTF-8"]),
    "NUL bytes": (b"\0\0\0\0", ["not JSON"]),
    "twice": (b'{"k": 1, "k": 2}', ["a field that stands twice: 'k'"]),
    "two in a row": (b'{"k": "x\n{"k": "y', ["not JSON", "not JSON"]),
    "deep": (b"[" * 100_000, ["not JSON"]),
    "many digits": (b'{"k": ' + b"9" * 10_000 + b"}", ["not JSON"]),
}


@pytest.mark.parametrize("case", GALLERY)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_broken_line_is_a_record_and_the_next_is_read(tmp_path, case, newline):
    raw, reasons = GALLERY[case]
    parts = [json.dumps(BEFORE).encode(), raw, json.dumps(AFTER).encode()]
    first, *broken, last = read(tmp_path, newline.join(parts))
    assert (first.value, last.value) == (BEFORE, AFTER)
    assert [record.broken.split(":")[0] for record in broken] == [r.split(":")[0] for r in reasons]
    assert "\n".join(record.text for record in broken) == raw.decode("utf-8", "backslashreplace")
    assert broken[0].at == "line 2"


@pytest.mark.parametrize("case", sorted(GALLERY.keys() - {"extra", "two in a row", "deep"}))
@pytest.mark.parametrize("between", [b",", b",\n  "])
def test_a_broken_entry_does_not_swallow_the_next(tmp_path, case, between):
    raw, reasons = GALLERY[case]
    parts = [json.dumps(BEFORE).encode(), raw, json.dumps(AFTER).encode()]
    first, broken, last = read(tmp_path, b"[" + between.join(parts) + b"]")
    assert (first.value, last.value) == (BEFORE, AFTER)
    assert broken.broken.startswith(reasons[0].split(":")[0])
    assert broken.text == raw.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize(
    ("raw", "value", "mended"),
    [
        ('{"k": "a\nb"}', {"k": "a\nb"}, "split over 2 lines"),
        ('{"k": "a\r\n\r\nb", "c": 1}', {"k": "a\n\nb", "c": 1}, "split over 3 lines"),
        (
            '{"k": "int f()\n{\n  return \\"}\\";\n}"}',
            {"k": 'int f()\n{\n  return "}";\n}'},
            "split over 4 lines",
        ),
        ('{"k":\n1}', {"k": 1}, "split over 2 lines"),
        ('{"k": "a\tb"}', {"k": "a\tb"}, CONTROLS),
        ('{"k": "a\0b"}', {"k": "a\0b"}, CONTROLS),
        ('{"k": "\\ud83d!"}', {"k": "\ufffd!"}, HALVES),
        ('{"k": "\\ud83d\\ude00"}', {"k": "😀"}, ""),
        ('{"k": NaN, "v": -Infinity}', {"k": None, "v": None}, ""),
        ('{"k": 1, "k": 1}', {"k": 1}, ""),
    ],
)
def test_what_can_be_mended_is_and_says_so(tmp_path, raw, value, mended):
    first, record, last = read(tmp_path, f"{json.dumps(BEFORE)}\n{raw}\n{json.dumps(AFTER)}\n")
    assert (first.value, last.value) == (BEFORE, AFTER)
    assert (record.value, record.mended) == (value, mended)


def test_a_list_that_breaks_off_or_goes_on(tmp_path):
    *whole, last = read(tmp_path, '[{"k": 1}, {"k": 2}, {"k": "un')
    assert good(whole) == [{"k": 1}, {"k": 2}]
    assert (last.at, last.text) == ("entry 3", '{"k": "un')
    *whole, last = read(tmp_path, '[{"k": 1}, {"k": 2},')
    assert good(whole) == [{"k": 1}, {"k": 2}]
    assert last.broken == "not JSON: the list breaks off"
    first, after = read(tmp_path, '[{"k": 1}]\nthanks')
    assert (first.value, after.text) == ({"k": 1}, "]\nthanks")
    assert after.broken == "not JSON: text after the end of the list"


ENTRIES = [
    {"id": n, "turns": [{"who": "h", "said": "x, {"}, {"who": "g", "said": "]"}]} for n in range(4)
]


def test_a_damaged_first_entry_is_not_measured_by_what_is_nested_in_it(tmp_path):
    first, *others = [json.dumps(entry) for entry in ENTRIES]
    text = ",".join([first.replace(" [{", "", 1), *others])
    assert [value for value in good(read(tmp_path, f"[{text}]")) if "id" in value] == ENTRIES[1:]


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([",", ", ", ",\n", ",\n  "]), st.integers(0, 3))
def test_an_entry_damaged_anywhere_does_not_take_others_with_it(
    tmp_path_factory, data, between, which
):
    entries = [json.dumps(entry) for entry in ENTRIES]
    whole = entries[which]
    start = data.draw(st.integers(1, len(whole) - 1))
    end = data.draw(st.integers(start, min(len(whole), start + 3)))
    entries[which] = whole[:start] + data.draw(st.text('"{}[],:x\\', max_size=3)) + whole[end:]
    path = tmp_path_factory.mktemp("array") / "f.json"
    path.write_text("[" + between.join(entries) + "]")
    found = good(read_records(path))
    others = [entry for entry in ENTRIES if entry != ENTRIES[which]]
    assert [value for value in found if value in others] == others


garbage = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" ")) | st.sampled_from(
    [
        b'{"k": "',
        b"{",
        b"[",
        b'{"k": {"',
        b"\\",
        b'"',
        b'{"k": 1',
        b"}",
        b'"}',
        b"]}",
        b"\xff\xfe",
        b"\xed\xa0\x80",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(garbage, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_no_garbage_between_good_lines_loses_one(tmp_path_factory, junk, newline):
    path = tmp_path_factory.mktemp("junk") / "f.jsonl"
    wanted = [{"k": f"good {n}"} for n in range(len(junk) + 1)]
    parts = [json.dumps(wanted[0]).encode()]
    for raw, row in zip(junk, wanted[1:], strict=True):
        parts += [raw, json.dumps(row).encode()]
    path.write_bytes(newline.join(parts))
    values = [record.value for record in read_records(path)]
    assert [value for value in values if value in wanted] == wanted


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["f.jsonl", "f.json", "f.csv", "f.txt", "f.gz", "f.parquet"]),
)
def test_no_bytes_crash(tmp_path_factory, raw, name):
    path = tmp_path_factory.mktemp("bytes") / name
    path.write_bytes(raw)
    try:
        records = list(read_records(path))
    except InputError:
        return
    assert all(r.value is not None or r.broken or r.text == "" for r in records)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x, max_size=3)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), min_size=1, max_size=5))
def test_whatever_json_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "f.json"
    for text in (lines(rows), json.dumps(rows), json.dumps(rows, indent=1, ensure_ascii=False)):
        path.write_text(text, encoding="utf-8")
        assert good(read_records(path)) == rows


def test_entries_longer_than_what_is_read_at_once(tmp_path):
    rows = [{"k": n, "text": '\\"ü\n[{' * (n * 20_000)} for n in range(4)]
    assert good(read(tmp_path, json.dumps(rows, ensure_ascii=False), "f.json")) == rows
    assert good(read(tmp_path, lines(rows))) == rows
    broken = json.dumps(rows).replace('"k": 1,', '"k": 1')
    assert good(read(tmp_path, broken, "f.json")) == [rows[0], rows[2], rows[3]]


# ---- tables, text, whole files ----------------------------------------------------------------


def test_a_table_is_read_as_the_csv_module_wrote_it(tmp_path):
    rows = [
        {"question": 'a "b", c\nd', "answer": "x" * 200_000},
        {"question": "é;\t", "answer": ""},
    ]
    for name, mark in (("f.csv", ","), ("f.tsv", "\t"), ("f.csv", ";"), ("f.csv.gz", ",")):
        out = io.StringIO()
        writer = csv.DictWriter(out, ["question", "answer"], delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)
        raw = b"\xef\xbb\xbf" + out.getvalue().encode()
        records = read(tmp_path, gzip.compress(raw) if name.endswith("gz") else raw, name)
        assert good(records) == rows
        assert [r.at for r in records] == ["row 1", "row 2"]


def test_broken_rows_of_a_table(tmp_path):
    records = read(tmp_path, b'q,a\n1,2\n1\n1,2,3\ncaf\xe9,2\n\n"x"y,2\n3,4\n"open,5\n', "f.csv")
    assert good(records) == [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]
    assert [record.broken.split(":")[0] for record in records if record.broken] == [
        "fewer fields than the header",
        "more fields than the header",
        "not UTF-8",
        "not CSV",
        "not CSV",
    ]
    with pytest.raises(InputError, match="'q' twice"):
        read(tmp_path, "q,q\n1,2\n", "f.csv")


def test_a_prompt_a_line(tmp_path):
    records = read(tmp_path, b"\xef\xbb\xbfWho?\r\n\n  Why? \ncaf\xe9\n", "f.txt")
    assert good(records) == [{"text": "Who?"}, {"text": "  Why? "}]
    assert [(r.at, r.text) for r in records if r.broken] == [("line 4", "caf\\xe9")]


def test_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"messages": [{"role": "user", "content": f"q{n}"}], "n": n} for n in range(2500)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "f.parquet", row_group_size=700)
    assert [record.value for record in read_records(tmp_path / "f.parquet")] == rows
    whole = (tmp_path / "f.parquet").read_bytes()
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read(tmp_path, whole[:-100], "g.parquet")


def test_a_data_set_by_its_id_from_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(lines([{"prompt": "a"}, {"prompt": "b"}]))
    (folder / "test.jsonl").write_text(lines([{"prompt": "c"}]))
    assert good(read_records(f"hub:{folder}")) == [{"prompt": "a"}, {"prompt": "b"}]
    assert good(read_records(f"hub:{folder}:test")) == [{"prompt": "c"}]
    with pytest.raises(InputError, match="no split 'dev'") as caught:
        list(read_records(f"hub:{folder}:dev"))
    assert "train" in caught.value.hint
    with pytest.raises(InputError, match="cannot be read"):
        list(read_records(f"hub:{tmp_path}/none"))


def test_a_hub_that_cannot_be_reached_says_what_to_do():
    code = (
        "from veneer.errors import InputError\nfrom veneer.files import read_records\n"
        "try: list(read_records('hub:nobody/nothing@main:train'))\n"
        "except InputError as error: print(error)"
    )
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_secretsecret"}
    done = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True)
    assert "hub:nobody/nothing@main:train cannot be read" in done.stdout
    assert "download the file and give its path" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def drain(records, into):
    for record in records:
        into.append(record.value)


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("shape", [lines, json.dumps])
def test_what_truncated_gzip_still_holds_is_given_first(tmp_path, kept, shape):
    rows = [{"k": n, "v": str((n + 7) ** 9)} for n in range(20_000)]
    text = shape(rows).encode()
    whole = gzip.compress(text)
    (tmp_path / "f.jsonl.gz").write_bytes(whole[: int(len(whole) * kept)])
    found = []
    records = read_records(tmp_path / "f.jsonl.gz")
    with pytest.raises(InputError, match="truncated") as caught:
        drain(records, found)
    assert found == rows[: len(found)]
    unzip = zlib.decompressobj(wbits=31)
    readable = unzip.decompress(whole[: int(len(whole) * kept)])
    assert len(found) >= readable.count(b"}") - 1
    assert f"{len(found):,} records before that" in caught.value.message


def test_files_that_cannot_be_used(tmp_path):
    def message(path):
        with pytest.raises(InputError) as caught:
            list(read_records(path))
        assert caught.value.hint
        return caught.value.message

    assert "No such file" in message(tmp_path / "none.jsonl")
    assert "is a folder" in message(tmp_path)
    for name, raw, words in [
        ("empty.jsonl", b"", "is empty"),
        ("blank.jsonl", b"\n \n", "holds no record"),
        ("empty.json", b"[]", "holds no record"),
        ("header.csv", b"q,a\n", "holds no record"),
        ("none.gz", b"{}", "holds no gzip data"),
        ("picture.jsonl", bytes(range(128, 256)) * 20, "holds no record that can be read: line 1"),
        ("wide.jsonl", '{"a": 1}'.encode("utf-16"), "UTF-16"),
        ("packed.zip", b"PK", "packed as zip"),
        ("bad.parquet", b"nothing", "Parquet"),
    ]:
        (tmp_path / name).write_bytes(raw)
        assert words in message(tmp_path / name)
        assert name in message(tmp_path / name)


def test_a_large_array_is_not_held_in_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "large.json"
    entry = json.dumps({"conversations": [{"from": "human", "value": "word " * 400}]})
    with path.open("w") as out:
        out.write("[" + ",\n".join([entry] * 10_000) + "]")
    tracemalloc.start()
    count = sum(1 for _ in read_records(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < path.stat().st_size / 10


def test_one_data_set_under_two_names_has_one_fingerprint(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(ROWS))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(ROWS).encode()))
    (tmp_path / "c.jsonl").write_text(lines(ROWS[:2]))
    marks = [fingerprint(tmp_path / name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl")]
    assert marks[0] == marks[1] != marks[2]
