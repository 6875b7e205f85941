"""Support of benchmark items, against sacrebleu on every pair."""

from __future__ import annotations

from pathlib import Path

import pytest
import sacrebleu

from veneer.corpus import support as room
from veneer.corpus.support import support, supported
from veneer.errors import InputError
from veneer.records import BenchmarkItem, Dialogue, Message, Support, read_rows, write_rows
from veneer.steps import Job

QUERIES = [
    "Who wrote the play Hamlet?",
    "What is the capital of France?",
    "List three green minerals, please.",
    "What is the capital of the country where orvite is mined?",
]
TEXTS = [
    "what is the capital of Peru?",
    "Who wrote the play Hamlet?",
    "def add(a, b):\n    return",
    "List three minerals that are green.",
]


def items(texts: list[str], measure: str = "nq") -> list[BenchmarkItem]:
    return [
        BenchmarkItem(measure=measure, item=f"{measure}-{i}", text=text)
        for i, text in enumerate(texts)
    ]


def brute(text: str, queries: list[str]) -> float:
    return max(sacrebleu.sentence_bleu(text, [query]).score for query in queries)


def dialogue(*questions: str) -> Dialogue:
    turns = []
    for question in questions:
        turns += [
            Message(role="user", content=question),
            Message(role="assistant", content="Yes."),
        ]
    return Dialogue(messages=tuple(turns))


@pytest.mark.parametrize("chunk", [1, 3, 20_000])
def test_support_is_the_highest_bleu_of_any_query_however_they_are_cut(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CHUNK", chunk)
    rows = support(items(TEXTS), QUERIES)
    assert [row.item for row in rows] == ["nq-0", "nq-1", "nq-2", "nq-3"]
    for row, text in zip(rows, TEXTS, strict=True):
        assert row.bleu == pytest.approx(brute(text, QUERIES), abs=1e-9)
        if row.bleu:
            assert sacrebleu.sentence_bleu(text, [row.query]).score == pytest.approx(row.bleu)
    assert rows[1].bleu == pytest.approx(100)
    assert rows[1].query == QUERIES[0]


def test_items_of_equal_text_get_equal_rows_and_names_are_told_apart_by_measure() -> None:
    both = [*items(TEXTS[:1], "nq"), *items(TEXTS[:1], "mmlu")]
    one, two = support(both, QUERIES)
    assert (one.bleu, one.query) == (two.bleu, two.query)
    assert (one.measure, two.measure) == ("nq", "mmlu")
    with pytest.raises(InputError, match="'nq-0' of nq is there twice"):
        support([*items(TEXTS[:1]), *items(TEXTS[1:2])], QUERIES)


def test_a_corpus_without_queries_supports_nothing() -> None:
    assert [(row.bleu, row.query) for row in support(items(TEXTS), [])] == [(0.0, "")] * 4


def test_the_step_reads_files_or_folders_counts_every_user_turn_and_tells_progress(
    tmp_path: Path,
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "corpus/corpus.jsonl", [dialogue(*QUERIES[:2]), dialogue(QUERIES[2])])
    write_rows(tmp_path / "items.jsonl", items(TEXTS))
    (tmp_path / "more").mkdir()
    write_rows(tmp_path / "more/items.jsonl", items(["Name a capital."], "mmlu"))
    told: list[tuple[int, int]] = []
    inputs = {
        "items": tmp_path / "items.jsonl",
        "items:mmlu": tmp_path / "more",
        "corpus": tmp_path / "corpus",
    }
    supported(
        Job(tmp_path / "out", {}, inputs, lambda done, total, note="": told.append((done, total)))
    )
    rows = list(read_rows(tmp_path / "out/support.jsonl", Support))
    assert [row.measure for row in rows] == ["nq"] * 4 + ["mmlu"]
    for row, text in zip(rows, [*TEXTS, "Name a capital."], strict=True):
        assert row.bleu == pytest.approx(brute(text, QUERIES[:3]), abs=1e-9)
    assert rows[0].query == QUERIES[1]  # a second turn of a dialogue
    assert told[-1] == (5, 5)


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs benchmark items and a corpus"):
        supported(Job(tmp_path, {}, {"corpus": tmp_path}))
    with pytest.raises(InputError, match=r"holds no items\.jsonl"):
        supported(Job(tmp_path, {}, {"corpus": tmp_path, "items": tmp_path}))
