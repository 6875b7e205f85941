"""The dataset card of a corpus: what is in it, what was left out and why, under which terms.

Markdown with YAML front matter, as the Hugging Face Hub reads a data set's README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(stats: Mapping[str, Any]) -> str:
    """The card for `stats`, which is `stats.json` as curating writes it.

    Every key may be missing: what depends on it is then left out of the card, never shown as 0.
    Unknown keys are passed over. Counts are whole numbers, shares are fractions.

    name: str, what the corpus is called (default "Imitation data").
    records, kept, dropped (an int, or {reason: n}), trimmed ({reason: turns}), parts: counts of
        what was read, kept, rejected, cut off; `parts` is how many rows long conversations were
        split into. records + the splits = kept + dropped is for the writer to see to.
    sources: {name: count, or a profile {"records", "kept", "path", "format", "sha256", ...}}:
        every entry of the profile that is a number or a text becomes a column.
    funnel: [{"stage": str, "kept": int, "dropped": {reason: n}}], in the order of the stages;
        "kept" is what a stage leaves.
    languages: {ISO 639-1 code, "" for unknown: rows}.
    categories: {category, "" for none: rows}.
    words: {role: n} or int; tokens: {"all": n, "learned": n} or int.
    turns: int.
    diversity: {"n", "sample", "mean_bleu", "share_above_20"}: nearest BLEU of each query; `n`
        queries compared, `sample` of them scored; mean_bleu from 0 to 100.
    decontamination: {file: {"n", "above", "identical", "mean_of_maxima", "ids"}}: evaluation
        queries, how many above 20 % BLEU against a training query, ids of these.
    near_duplicates: {"threshold", "found", "missed_at_threshold"}.
    ledger: [LedgerLine as a dict].
    identity, refusals: {pattern: rows}, counted and not rejected.
    unlabelled: {reason: rows}, rows whose category could not be settled.
    settings: {name: value}; command: str; versions: {package: version}.
    """
    raise NotImplementedError
