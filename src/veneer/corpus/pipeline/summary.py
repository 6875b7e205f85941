"""stats.json: every count of a curation, in the order in which a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veneer.corpus.ledger import ledger
from veneer.corpus.pipeline.filtering import FUNNEL
from veneer.corpus.stats import funnel


def summary(
    counts: Mapping[str, Any],
    facts: Mapping[str, Any],
    made_from: Mapping[str, Any],
    terms: Path | None,
) -> dict[str, Any]:
    """What stats.json says.

    records: read. split_off: rows beyond the first of a record (a record with several dialogues,
    a conversation in pieces). records + split_off = kept + all of dropped. trimmed: turns that
    were cut off, by reason. funnel: what each stage left. sources: the same by source.
    imported: what importing counted, by source, before anything was filtered.
    queries: records, those whose query is empty, different queries (texts as they are).
    repeats: rows of one source whose first is in another, or the same.

    Args:
        counts: the sum of `veneer.corpus.stats.counts_of` over all parts.
        facts: what `veneer.corpus.pipeline.judging` found.
        made_from: files, options and code.
        terms: the user's own file of terms.
    """
    by_terms = {
        (source, teacher, licence): rows
        for source, teachers in counts["terms"].items()
        for teacher, licences in teachers.items()
        for licence, rows in licences.items()
    }
    names = ("records", "split_off", "kept", "dropped", "trimmed")
    found = ("near_duplicates", "decontamination", "diversity", "unlabelled")
    described = ("turns", "words", "languages", "categories")
    whole = counts["records"] + counts["split_off"]
    return {
        **{name: counts[name] for name in names},
        **({"parts": whole} if counts["split_off"] else {}),
        "note": _note(counts, facts),
        "funnel": funnel(counts, FUNNEL),
        "sources": counts["sources"],
        "imported": facts["profile"],
        "query_set": facts["query_set"],
        "queries": facts["queries"],
        "repeats": facts["repeats"],
        **{name: facts[name] for name in found if name in facts},
        **{name: counts[name] for name in described},
        "tokens": counts.get("tokens"),
        "ledger": [line.model_dump(mode="json") for line in ledger(by_terms, terms)],
        "settings": made_from["settings"],
        "made_from": dict(made_from),
    }


def _note(counts: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    if facts["query_set"]:
        return (
            "This is a set of queries and no imitation data: no record has an answer, so the "
            f"corpus is empty. The figures are over its {facts['queries']['unique']:,} different "
            "queries."
        )
    if not counts["kept"]:
        return "Nothing was kept: see dropped.jsonl for the reasons."
    return ""
