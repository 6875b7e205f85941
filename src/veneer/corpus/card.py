"""The dataset card of a corpus: what is in it, what was left out and why, under which terms.

Markdown with YAML front matter, as the Hugging Face Hub reads a data set's README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from veneer.corpus.categories import PAPER
from veneer.corpus.ledger import NO_ADVICE, PURPOSES, conflicts, verdict
from veneer.records import LedgerLine

Stats = Mapping[str, Any]

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
UNKNOWN = "unknown"
IDS_SHOWN = 20


def card(stats: Stats) -> str:
    """The card for `stats`, which is `stats.json` as curating writes it.

    Every key may be missing: what depends on it is then left out of the card, never shown as 0.
    Unknown keys are passed over. Counts are whole numbers, shares are fractions.

    name: str, what the corpus is called (default "Imitation data").
    records, kept, dropped (an int, or {reason: n}), trimmed ({reason: turns}), parts: counts of
        what was read, kept, rejected, cut off; `parts` is how many rows long conversations were
        split into. records + the splits = kept + dropped is for the writer to see to.
    sources: {name: count, or a profile {"records", "kept", "path", "format", "sha256", ...}}:
        every entry of the profiles that is a number or a text becomes a column.
    funnel: [{"stage": str, "kept": int, "dropped": {reason: n}}], in the order of the stages;
        "kept" is what a stage leaves.
    languages: {ISO 639-1 code, "" for unknown: rows}.
    categories: {category, "" for none: rows}.
    turns: int; words: {role: n} or int; tokens: {"all": n, "learned": n} or int.
    diversity: {"n", "sample", "mean_bleu", "share_above_20", the last two also with "_interval"
        (95 %, low and high)}: nearest BLEU of each query; `n` queries compared, `sample` of them
        scored; mean_bleu from 0 to 100.
    decontamination: {file: {"n", "above", "identical", "mean_of_maxima", "ids"}}: evaluation
        queries, how many above 20 % BLEU against a training query, ids of these.
    near_duplicates: {"threshold", "found", "missed_at_threshold"}.
    ledger: [LedgerLine, or one as a dict].
    identity, refusals: {pattern: rows}, counted and not rejected.
    unlabelled: {reason: rows}, rows whose category could not be settled.
    settings: {name: value}, those that are None or empty are left out; command: str;
        versions: {package: version}.
    """
    title = str(stats.get("name") or "Imitation data")
    blocks = [f"---\n{_front_matter(stats)}---", f"# {_line(title)}"]
    blocks += [text for section in SECTIONS if (text := section(stats))]
    return "\n\n".join(blocks) + "\n"


def _front_matter(stats: Stats) -> str:
    languages = [code for code in _ranked(stats.get("languages")) if code]
    front: dict[str, Any] = {"pretty_name": str(stats.get("name") or "Imitation data")}
    if languages:
        front["language"] = languages
    if stats.get("ledger"):
        front |= {"license": "other", "license_name": "mixed-terms"}
    front["task_categories"] = ["text-generation"]
    if "kept" in stats:
        kept = stats["kept"]
        front["size_categories"] = [
            next((name for limit, name in SIZES if kept < limit), "n>100M"),
        ]
    front["tags"] = ["imitation", "synthetic"]
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


# ---- sections -------------------------------------------------------------------------------


def _counts(stats: Stats) -> str:
    dropped = stats.get("dropped")
    total = sum(dropped.values()) if isinstance(dropped, Mapping) else dropped
    trimmed = stats.get("trimmed")
    rows = [
        ("records read", stats.get("records")),
        ("records left out", total),
        ("rows after splitting long conversations", stats.get("parts")),
        ("turns cut off", sum(trimmed.values()) if isinstance(trimmed, Mapping) else trimmed),
        ("rows in the corpus", stats.get("kept")),
    ]
    text = _section("Counts", _table(("what", "count"), [r for r in rows if r[1] is not None]))
    if isinstance(trimmed, Mapping) and trimmed:
        text += "\n\nTurns cut off dialogues that were kept:\n\n"
        text += _table(("reason", "turns"), trimmed.items())
    return text


def _funnel(stats: Stats) -> str:
    rows: list[tuple[Any, ...]] = []
    for stage in stats.get("funnel", ()):
        dropped = stage.get("dropped") or {}
        rows.append((stage["stage"], "", sum(dropped.values()), stage.get("kept", "")))
        rows += [("", reason, count, "") for reason, count in _by_count(dropped)]
    if rows:
        table = _table(("stage", "reason", "left out", "left"), rows)
    elif isinstance(stats.get("dropped"), Mapping) and stats["dropped"]:
        table = _table(("reason", "left out"), _by_count(stats["dropped"]))
    else:
        table = ""
    return _section("What was left out", table, "Every record is kept or has one reason.")


def _sources(stats: Stats) -> str:
    sources = stats.get("sources") or {}
    profiles = {k: v if isinstance(v, Mapping) else {"kept": v} for k, v in sources.items()}
    columns = dict.fromkeys(
        column
        for profile in profiles.values()
        for column, value in profile.items()
        if isinstance(value, (int, float, str))
    )
    rows = [
        (name or UNKNOWN, *(profile.get(column, "") for column in columns))
        for name, profile in profiles.items()
    ]
    return _section("Sources", _table(("source", *columns), rows))


def _texts(stats: Stats) -> str:
    rows: list[tuple[str, Any]] = [("turns", stats["turns"])] if "turns" in stats else []
    for key in ("words", "tokens"):
        value = stats.get(key)
        if isinstance(value, Mapping):
            rows += [(f"{key}, {name}", count) for name, count in value.items()]
        elif value is not None:
            rows.append((key, value))
    return _section("Size", _table(("what", "count"), rows))


def _diversity(stats: Stats) -> str:
    found = stats.get("diversity") or {}
    if found.get("mean_bleu") is None:
        return ""
    mean = f"{found['mean_bleu']:.2f} %{_between(found.get('mean_bleu_interval'), 1, 2)}"
    rows: list[tuple[str, Any]] = [("mean nearest BLEU", mean)]
    if found.get("share_above_20") is not None:
        between = _between(found.get("share_above_20_interval"), 100, 1)
        share = f"{100 * found['share_above_20']:.1f} %{between}"
        rows.append(("share of queries above 20 %", share))
    names = (("n", "queries compared"), ("sample", "queries scored"))
    rows += [(name, found[key]) for key, name in names if found.get(key) is not None]
    return _section(
        "Diversity",
        _table(("what", "value"), rows),
        "For each user query, the sentence BLEU of the most similar other query: lower is more "
        "diverse. The imitation paper (§3) reports a mean of 8 % for ShareGPT-Mix, some "
        "90,000 dialogues, and 61 % for as many examples of Super-NaturalInstructions. The figure "
        "grows with the number of queries compared: only sets of equal size compare.",
    )


def _between(interval: Sequence[float] | None, scale: float, digits: int) -> str:
    """A 95 % interval behind its number, where there is one."""
    if not interval:
        return ""
    low, high = (f"{scale * end:.{digits}f}" for end in interval)
    return f" [{low}, {high}]"


def _categories(stats: Stats) -> str:
    found = stats.get("categories") or {}
    total = sum(found.values())
    if not total:
        return ""
    names = [*PAPER, *(name for name in _ranked(found) if name not in PAPER)]
    rows = [
        (
            name or "(none)",
            found.get(name, 0),
            f"{100 * found.get(name, 0) / total:.1f}",
            PAPER.get(name, ""),
        )
        for name in names
    ]
    text = _section(
        "Categories",
        _table(("category", "rows", "%", "paper, Table 5 (%)"), rows),
        "The paper's shares are of 50 ShareGPT queries, labelled by hand.",
    )
    if stats.get("unlabelled"):
        text += "\n\nRows whose category could not be settled:\n\n"
        text += _table(("why", "rows"), _by_count(stats["unlabelled"]))
    return text


def _languages(stats: Stats) -> str:
    found = stats.get("languages") or {}
    rows = [(code or UNKNOWN, found[code]) for code in _ranked(found)]
    return _section("Languages", _table(("language", "rows"), rows))


def _decontamination(stats: Stats) -> str:
    rows = []
    for file, found in (stats.get("decontamination") or {}).items():
        ids = [str(each) for each in found.get("ids", ())]
        more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
        mean = found.get("mean_of_maxima")
        rows.append(
            (
                file,
                *(found.get(key, "") for key in ("n", "above", "identical")),
                "" if mean is None else f"{mean:.2f}",
                ", ".join(ids[:IDS_SHOWN]) + more,
            )
        )
    heads = ("evaluation set", "queries", "above 20 %", "identical", "mean of maxima", "ids above")
    return _section(
        "Evaluation sets",
        _table(heads, rows),
        "The highest sentence BLEU of each evaluation query against any query of the corpus; the "
        "imitation paper (footnote 3) leaves out what is above 20 %.",
    )


def _terms(stats: Stats) -> str:
    lines = _ledger(stats)
    if not lines:
        return ""
    rows = [
        (
            line.source or UNKNOWN,
            line.teacher or UNKNOWN,
            line.licence or UNKNOWN,
            line.records,
            line.compete,
            line.commercial,
            line.grounds,
        )
        for line in lines
    ]
    heads = ("source", "teacher", "licence", "records", "competing model", "commercial use")
    asks = {"compete": "Training a competing model", "commercial": "Commercial use"}
    whole = "\n".join(
        f"- {asks[purpose]}, the whole mixture: **{verdict(lines, purpose)}**"
        for purpose in PURPOSES
    )
    said = "\n".join(f"- {_line(sentence)}" for sentence in conflicts(lines))
    table = _table((*heads, "grounds"), rows)
    return _section("Terms", "\n\n".join(filter(None, (table, whole, said))), NO_ADVICE)


def _made(stats: Stats) -> str:
    parts = []
    if stats.get("command"):
        parts.append("\n".join(f"    {line}" for line in str(stats["command"]).splitlines()))
    for key, head in (("settings", "setting"), ("versions", "package")):
        given = [(k, v) for k, v in (stats.get(key) or {}).items() if v not in (None, "", [], {})]
        parts.append(_table((head, "value"), given))
    return _section("How it was made", "\n\n".join(filter(None, parts)))


def _limits(stats: Stats) -> str:
    known = [
        "Whether the answers are true was not checked.",
        "Personal data in the texts was not looked for.",
    ]
    if not stats.get("diversity"):
        known.append("Diversity was not measured.")
    if not stats.get("decontamination"):
        known.append("No evaluation set was compared with the corpus.")
    if not stats.get("tokens"):
        known.append("Tokens were not counted.")
    if not stats.get("ledger"):
        known.append("Terms of sources and teachers were not looked up.")
    for key, what in (("languages", "language"), ("categories", "category")):
        if unknown := (stats.get(key) or {}).get(""):
            known.append(f"Rows of no known {what}: {unknown:,}.")
    for key, what in (
        ("identity", "Answers that name their maker, kept"),
        ("refusals", "Answers that begin as refusals do, kept"),
    ):
        if stats.get(key):
            known.append(f"{what}: {sum(stats[key].values()):,} rows.")
    near = stats.get("near_duplicates") or {}
    if near.get("missed_at_threshold") is not None:
        known.append(
            f"A near-duplicate at the threshold ({near.get('threshold')}) was missed with "
            f"probability {near['missed_at_threshold']:.1g}."
        )
    return _section("What is not known", "\n".join(f"- {each}" for each in known))


SECTIONS = (
    _counts,
    _funnel,
    _sources,
    _texts,
    _diversity,
    _categories,
    _languages,
    _decontamination,
    _terms,
    _made,
    _limits,
)


# ---- Markdown -------------------------------------------------------------------------------


def _section(title: str, body: str, lead: str = "") -> str:
    if not body:
        return ""
    return "\n\n".join(filter(None, (f"## {title}", lead, body)))


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    body = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not body:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *body])


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _line(value).replace("\\", "\\\\").replace("|", "\\|")


def _line(value: Any) -> str:
    return " ".join(str(value).split()).replace("<", "&lt;")


def _ranked(counts: Mapping[str, int] | None) -> list[str]:
    return [name for name, _ in _by_count(counts or {})]


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _ledger(stats: Stats) -> list[LedgerLine]:
    return [LedgerLine.model_validate(each) for each in stats.get("ledger") or ()]
