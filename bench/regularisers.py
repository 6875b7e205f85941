"""The tables of docs/regularisers.md from a finished run of examples/regularisers.yaml.

    python bench/regularisers.py RUN

Means over the run's seeds, then paired differences from the base and from imitation alone: the
same items resampled within every seed, 2,000 times; the seeds themselves are taken as given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from veneer.records import ScoreSheet, read_rows

MEANS = (
    ("nq", "exact_match"),
    ("nq-0shot", "exact_match"),
    ("mmlu", "accuracy"),
    ("humaneval", "pass@1"),
    ("toxicity", "non_toxicity"),
    ("toxicity", "refusal_rate"),
    ("style", "list_agreement"),
    ("style", "summary_agreement"),
    ("style", "unigram_f1"),
    ("style", "length_correlation"),
)
DIFFERENCES = (
    ("base", MEANS[0]),
    ("base", MEANS[2]),
    ("broad", MEANS[0]),
    ("broad", MEANS[2]),
    ("broad", MEANS[8]),
    ("broad", MEANS[6]),
    ("broad", MEANS[7]),
)
DRAWS = 2000


def main(run: Path) -> None:
    spec = json.loads((run / "study.json").read_text("utf-8"))["spec"]
    found: dict[tuple[str, int, tuple[str, str]], ScoreSheet] = {}
    for path in sorted(run.glob("steps/measured-*/sheets.jsonl")):
        for sheet in read_rows(path, ScoreSheet):
            who = sheet.subject.corpus or sheet.subject.role
            found[who, sheet.subject.seed, (sheet.measure, sheet.metric)] = sheet
    seeds = sorted({seed for _, seed, _ in found})
    print(f"seeds {seeds}")
    for who in ("base", *spec["corpora"], "teacher", "teacher-again"):
        values = [[found.get((who, seed, metric)) for seed in seeds] for metric in MEANS]
        print(f"| {who} | " + " | ".join(mean(each) for each in values) + " |")
    rng = np.random.default_rng(0)
    for who in spec["corpora"]:
        cells = []
        for other, metric in DIFFERENCES:
            pairs = [[found[name, seed, metric] for name in (who, other)] for seed in seeds]
            cells.append("" if who == other else difference(pairs, rng))
        print(f"| {who} | " + " | ".join(cells) + " |")


def array(values: tuple[float | None, ...]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def mean(sheets: list[ScoreSheet | None]) -> str:
    values = []
    for sheet in sheets:
        if sheet is None:
            return "–"
        scores = array(sheet.values)
        if sheet.others is not None:
            both = np.stack([scores, array(sheet.others)])
            values.append(np.corrcoef(both[:, ~np.isnan(both).any(axis=0)])[0, 1])
        else:
            values.append(100 * np.nanmean(scores))
    correlation = sheets[0] is not None and sheets[0].others is not None
    return f"{np.mean(values):.{2 if correlation else 0}f}"


def difference(pairs: list[list[ScoreSheet]], rng: np.random.Generator) -> str:
    changes = []
    for ours, theirs in pairs:
        known = dict(zip(theirs.items, array(theirs.values), strict=True))
        rows = zip(ours.items, array(ours.values), strict=True)
        changes.append(np.array([value - known[item] for item, value in rows if item in known]))
    draws = [
        np.mean([np.nanmean(rng.choice(change, len(change))) for change in changes])
        for _ in range(DRAWS)
    ]
    low, high = 100 * np.percentile(draws, [2.5, 97.5])
    point = 100 * np.mean([np.nanmean(change) for change in changes])
    return f"{point:+.1f} [{low:.1f}, {high:.1f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
