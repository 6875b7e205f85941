"""Votes as files: read back by other readers, and harmless in a spreadsheet."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.raters.server.owner_files import COLUMNS, votes_csv, votes_jsonl
from veneer.records import Vote

VOTES = [
    Vote(item="00af", rater="r1", choice=2, seconds=12.5, reason='Clearer, and "right"\nthere.'),
    Vote(item="00b0", rater="r2", choice=0, origin="mturk", reason="=HYPERLINK(A1)"),
]


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_csv_reads_back_with_another_reader():
    one, two = rows_of(votes_csv(VOTES))
    assert one == {
        "item": "00af",
        "rater": "r1",
        "choice": "2",
        "origin": "private",
        "seconds": "12.5",
        "reason": 'Clearer, and "right"\nthere.',
    }
    assert two["seconds"] == ""
    assert two["reason"] == "'=HYPERLINK(A1)"
    assert votes_csv([]).decode("utf-8-sig") == ",".join(COLUMNS) + "\r\n"


def test_jsonl_is_the_votes_themselves():
    lines = votes_jsonl(VOTES).decode().splitlines()
    assert [Vote.model_validate(json.loads(line)) for line in lines] == VOTES


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "＝"])
def test_no_cell_begins_a_formula(start):
    vote = VOTES[0].model_copy(update={"reason": start + "1+1"})
    assert rows_of(votes_csv([vote]))[0]["reason"] == "'" + start + "1+1"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_reason_comes_back_whole(reason):
    vote = VOTES[0].model_copy(update={"reason": reason})
    read = rows_of(votes_csv([vote]))[0]["reason"]
    assert read in (reason, "'" + reason)
    assert votes_jsonl([vote]).count(b"\n") == 1
