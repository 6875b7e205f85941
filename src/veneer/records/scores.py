"""What was measured, of whom, and on which items."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from veneer.records.row import Record

Role = Literal["teacher", "teacher-again", "base", "student"]


class Subject(Record):
    """Whose score it is. `tokens`: imitation data trained on; 0 for a base, None if unknown."""

    model: str
    role: Role
    base: str | None = None
    corpus: str | None = None
    tokens: int | None = None
    seed: int = 0


class ScoreSheet(Record):
    """One model's item scores on one metric: what intervals are computed from.

    Shapes: `items`, `values`, `reasons` (and `others`) all have one entry an item.
    `kind` says how items become the metric: "mean" averages `values`; "pearson"
    correlates `values` with `others` (r is undefined where either has no variance).
    An item that could not be scored has the value None and a reason, and is never a zero.
    `against` names the opponent of a preference and is empty for everything else.
    `categories` are the items' own, where they have any.
    """

    subject: Subject
    measure: str
    metric: str
    kind: Literal["mean", "pearson"] = "mean"
    items: tuple[str, ...]
    values: tuple[float | None, ...]
    others: tuple[float | None, ...] | None = None
    reasons: tuple[str, ...] = ()
    against: str = ""
    categories: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lengths_agree(self) -> ScoreSheet:
        lengths = {len(self.items), len(self.values), len(self.reasons) or len(self.items)}
        if self.others is not None:
            lengths.add(len(self.others))
        lengths.add(len(self.categories) or len(self.items))
        if len(lengths) != 1:
            raise ValueError("items, values, others and reasons must have one entry an item")
        if (self.kind == "pearson") != (self.others is not None):
            raise ValueError('"pearson" sheets, and only they, have `others`')
        if len(set(self.items)) != len(self.items):
            raise ValueError("an item is scored twice")
        return self


class Aggregate(Record):
    """A score known only as a total, such as a published table: no items, so nothing to pair.

    `standard_error` is in the unit of `value`, None where the source gives none.
    """

    subject: Subject
    measure: str
    metric: str
    value: float
    standard_error: float | None = None
    n: int = 0


class Estimate(Record):
    """A number that never travels alone: its 95 % interval, items scored, items unscored.

    `value` is None where the number is undefined; `note` then says why.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int = 0
    note: str = ""


class Measurement(Record):
    """A line of `measurements.jsonl`. Rates are fractions."""

    model: str
    role: Role
    base: str | None
    corpus: str | None
    tokens: int | None
    seed: int
    measure: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int


class CategoryMeasurement(Measurement):
    """A line of `categories.jsonl`: a measurement over the items of one category."""

    category: str


class BenchmarkItem(Record):
    """A question of a benchmark: the item's name in score sheets, and its text without shots."""

    measure: str
    item: str
    text: str
    category: str = ""


class Support(Record):
    """How near the imitation data comes to an item: the highest BLEU (0..100) of any query."""

    measure: str
    item: str
    bleu: float
    query: str = ""


class Example(Record):
    """One prompt with what each model answered, for reading side by side."""

    prompt: str
    category: str = ""
    answers: tuple[tuple[Subject, str], ...]
