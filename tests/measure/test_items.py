import gzip
import json

import pytest

from veneer.errors import InputError
from veneer.measure.items import item_ids, read_items

FIELDS = {"question": str, "answer": list}
ROWS = [{"question": f"q{i}", "answer": ["a"], "more": 1} for i in range(3)]


def test_lines_arrays_and_gzip_read_alike(tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "a.jsonl").write_text(lines + "\n")
    (tmp_path / "b.json").write_text(json.dumps(ROWS, indent=1))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    found = [read_items(path, FIELDS) for path in sorted(tmp_path.iterdir())]
    assert found == [[{"question": f"q{i}", "answer": ["a"]} for i in range(3)]] * 3
    assert len(read_items(tmp_path / "a.jsonl", FIELDS, limit=2)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no items"),
        (b'{"question": "q"}\n', r"line 1: the item has no 'answer'"),
        (b'{"question": 3, "answer": []}\n', r"line 1: the item has an unusable 'question'"),
        (b'{"question": "q", "answer": []}\n{"que\n', "line 2: broken JSON"),
        (b"[1]", "entry 1: not a JSON object"),
        (b'[{"question": "q",\n', "broken JSON"),
        (gzip.compress(b"x" * 10_000)[:-20], "truncated gzip"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_each_fault_is_one_message(tmp_path, content, message):
    path = tmp_path / "items.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_items(path, FIELDS)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_items(tmp_path / "none.jsonl", FIELDS)


def test_repeated_items_have_ids_of_their_own():
    ids = item_ids(["a", "b", "a", "a"])
    assert len(set(ids)) == 4
    assert ids[2] == f"{ids[0]}#2"
    assert ids == item_ids(["a", "b", "a", "a"])
