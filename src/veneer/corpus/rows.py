"""The Arrow table that imitation data is while it is curated: one row a dialogue, or a reject.

Every filter is a function of one batch (`pyarrow.RecordBatch` in, the same rows out) that marks
what it rejects in `reason`. A row once rejected keeps its first reason, and nothing is removed
before the end: so rows are counted in one place and the counts add up. The same functions run
in this process and under Ray Data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from veneer.records import Dialogue, Dropped

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> pa.Schema:
    """Columns of a batch.

    messages: turns {"role", "content"}; of a record that is no dialogue the turns as they were
        read, empty where there were none to read.
    text: the record as it was read, where it is no dialogue; else "".
    reason: why the row is rejected; "" while it is kept.
    trimmed: turns cut off it, each "reason\\ttext".
    notes: what importing changed without losing anything, one note each time.
    asked, starts: the first user turn and the first turn's role as they were read, before
        anything was trimmed; "" where there is none.
    The others are as in `Dialogue`.
    """
    import pyarrow as pa

    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    texts = ["origin", "source", "teacher", "licence", "category", "language", "text", "reason"]
    texts += ["asked", "starts"]
    lists = ["trimmed", "notes"]
    return pa.schema(
        [("messages", pa.list_(turn))]
        + [(name, pa.list_(pa.string())) for name in lists]
        + [(name, pa.string()) for name in texts]
    )


def batch_of(rows: Iterable[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as a batch; a column that a row does not name is empty in it."""
    import pyarrow as pa

    blank: dict[str, Any] = {field.name: "" for field in schema()}
    blank |= {"messages": [], "trimmed": [], "notes": []}
    return pa.RecordBatch.from_pylist([{**blank, **row} for row in rows], schema=schema())


def queries(batch: pa.RecordBatch) -> list[str]:
    """The first user turn of each row, "" where there is none."""
    return [
        next((turn["content"] for turn in turns if turn["role"] == "user"), "")
        for turns in batch.column("messages").to_pylist()
    ]


def rejected(batch: pa.RecordBatch, reasons: Sequence[str]) -> pa.RecordBatch:
    """The batch with `reasons` (shape: rows; "" keeps) written where a row has none yet."""
    before = batch.column("reason").to_pylist()
    merged = [old or new for old, new in zip(before, reasons, strict=True)]
    return with_texts(batch, "reason", merged)


def with_texts(batch: pa.RecordBatch, name: str, texts: Sequence[str]) -> pa.RecordBatch:
    """The batch with a text column (shape: rows) replaced."""
    import pyarrow as pa

    at = batch.schema.get_field_index(name)
    return batch.set_column(at, name, pa.array(texts, pa.string()))


def where_kept(batch: pa.RecordBatch, judge: Callable[[dict[str, Any]], str]) -> pa.RecordBatch:
    """`judge` names a reason, or "", for each row that is still kept."""
    return rejected(batch, [row["reason"] or judge(row) for row in batch.to_pylist()])


def dialogues(batch: pa.RecordBatch) -> list[Dialogue]:
    """The kept rows."""
    names = Dialogue.model_fields
    return [
        Dialogue.model_validate({k: v for k, v in row.items() if k in names})
        for row in batch.to_pylist()
        if not row["reason"]
    ]


def dropped(batch: pa.RecordBatch) -> list[Dropped]:
    """The rejected rows, and the turns that were cut off kept ones, in order."""
    found = []
    for row in batch.to_pylist():
        about = {"origin": row["origin"], "source": row["source"]}
        if row["reason"]:
            text = row["text"] or as_text(row["messages"])
            found.append(Dropped(reason=row["reason"], text=text, **about))
        for cut in row["trimmed"]:
            reason, _, text = cut.partition("\t")
            found.append(Dropped(reason=reason, unit="turn", text=text, **about))
    return found


def as_text(messages: Sequence[dict[str, str]]) -> str:
    """Turns on lines, for people who look at what was dropped."""
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in messages)
