"""Length-controlled win rates beside `alpaca_eval`'s own, on the same verdicts and lengths.

    python bench/length_controlled.py --data DATA [--alpaca-eval PYTHON] [--baseline OUTPUTS]
                                      [--gamed df_gamed.csv]

DATA holds `alpaca_eval/`: annotations, outputs, leaderboards. PYTHON is an interpreter that has
alpaca_eval 0.6.6; without one its columns are left out. Its formulas run as they are, twice: with
liblinear's own tolerance (1e-4), and with 1e-10, which shows what the tolerance is worth.

The full formula needs AlpacaEval's instruction difficulties and gamed baselines. Both are one
file of its data set on the Hub, `df_gamed.csv`, in neither its wheel nor its repository: give it
with --gamed, else both programs get the same drawn stand-ins, which tests the arithmetic and
nothing else. The baseline's answers are in the annotations of text_davinci_003's (published with
vicuna-13b's); those of gpt4_1106_preview are to be given with --baseline.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from veneer.measure.length_controlled import Gamed, fit
from veneer.measure.recorded import read_outputs, read_preferences
from veneer.records import Comparison

FORMULAS = ("length_controlled_minimal", "length_controlled_noreg", "length_controlled_v1")
THEIRS = """
import json, logging, sys, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from alpaca_eval.metrics import glm_winrate as glm
logging.disable(logging.CRITICAL)
rows, gamed = json.load(open(sys.argv[1])), sys.argv[2]
glm.hf_hub_download = lambda **_: gamed
found = {}
for name, info in glm.GLM_INFO.items():
    for tolerance in (None, 1e-10):
        kwargs = dict(info["kwargs"]) if tolerance is None else info["kwargs"] | {"tol": tolerance}
        told = glm.get_length_controlled_winrate(
            pd.DataFrame(rows), glm_name=name, save_weights_dir=None,
            is_warn_extreme_changes=False, glm_info=info | {"kwargs": kwargs})
        found.setdefault(name, []).append(told["length_controlled_winrate"])
    found["raw"] = told["win_rate"]
print(json.dumps(found))
"""


def main() -> None:
    """Print one table a set of annotations."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--alpaca-eval", help="a Python that has alpaca_eval installed")
    parser.add_argument("--baseline", type=Path, help="answers of gpt4_1106_preview")
    parser.add_argument("--gamed", type=Path, help="AlpacaEval's df_gamed.csv")
    given = parser.parse_args()
    home = given.data / "alpaca_eval"
    has_theirs = given.alpaca_eval is not None
    if not has_theirs or subprocess.run([given.alpaca_eval, "-c", "import alpaca_eval"]).returncode:
        print("No Python with alpaca_eval given (--alpaca-eval): its columns are left out.\n")
        has_theirs = False
    with tempfile.TemporaryDirectory() as folder:
        gamed = given.gamed or _stand_ins(Path(folder) / "df_gamed.csv")
        kind = "AlpacaEval's" if given.gamed else "drawn stand-ins for"
        print(f"Difficulties and gamed baselines: {kind} df_gamed.csv.\n")
        full = read_preferences(home / "annotations_gpt4_full_vicuna-13b.json.gz")
        first = {c.prompt: c.lengths[0] for c in full.comparisons if c.lengths}
        sets = [("annotations_gpt4", "leaderboard_alpaca_eval_gpt4.csv", first)]
        weighted = ("annotations_weighted_gpt4turbo", "leaderboard_weighted_gpt4turbo.csv")
        if given.baseline:
            said = read_outputs(given.baseline).said
            lengths = {str(one.prompt): len(one.answer) for one in said if one.answer is not None}
            sets.append((*weighted, lengths))
        for name, board, baseline in sets:
            published = _published(home / board)
            print(name)
            print(
                f"{'model':20} {'formula':9} {'n':>4} {'raw':>8} {'theirs':>9} {'tol 1e-10':>9} "
                f"{'ours':>9} {'ours-tol':>9}  published"
            )
            for path in sorted((home / name).glob("*.jsonl.gz")):
                rows = _with_lengths(home, path, baseline)
                theirs = _theirs(given.alpaca_eval, rows, gamed, folder) if has_theirs else {}
                _print(path.name.removesuffix(".jsonl.gz"), rows, theirs, gamed, published)
            print()
        if not given.baseline:
            print(f"{weighted[0]}: left out, the answers of gpt4_1106_preview are not at hand.")


def _with_lengths(home: Path, path: Path, baseline: dict[str, int]) -> list[Comparison]:
    """The verdicts on prompts where both lengths are known."""
    outputs = read_outputs(home / "outputs" / path.name)
    mine = {str(one.prompt): len(one.answer) for one in outputs.said if one.answer is not None}
    return [
        one.model_copy(update={"lengths": (baseline[one.prompt], mine[one.prompt])})
        for one in read_preferences(path).comparisons
        if one.prompt in baseline and one.prompt in mine
    ]


def _print(
    model: str,
    rows: list[Comparison],
    theirs: dict[str, list[float]],
    gamed: Path,
    published: dict[str, float],
) -> None:
    wins = np.array([np.nan if c.second_wins is None else c.second_wins for c in rows])
    longer = np.array([c.lengths[1] - c.lengths[0] for c in rows if c.lengths], dtype=float)
    twins, difficulty = _gamed(gamed, len(rows))
    arguments = ({}, {"difficulty": difficulty}, {"difficulty": difficulty, "gamed": twins})
    for formula, more in zip(FORMULAS, arguments, strict=True):
        ours = 100 * fit(wins, longer, **more).win_rate
        told = theirs.get(formula, [float("nan")] * 2)
        end = f"{published[model]:9.4f}" if formula.endswith("v1") and model in published else ""
        print(
            f"{model:20} {formula.split('_')[-1]:9} {len(rows):4} {100 * np.nanmean(wins):8.4f} "
            f"{told[0]:9.4f} {told[1]:9.4f} {ours:9.4f} {ours - told[1]:+9.6f}  {end}"
        )


def _theirs(
    python: str, rows: list[Comparison], gamed: Path, folder: str
) -> dict[str, list[float]]:
    annotations = [
        {
            "instruction": c.prompt,
            "generator_1": c.first,
            "generator_2": c.second,
            "output_1": "x" * (c.lengths or (0, 0))[0],
            "output_2": "x" * (c.lengths or (0, 0))[1],
            "preference": None if c.second_wins is None else c.second_wins + 1,
            "annotator": c.judge,
        }
        for c in rows
    ]
    path = Path(folder) / "annotations.json"
    path.write_text(json.dumps(annotations), encoding="utf-8")
    told = subprocess.run(
        [python, "-c", THEIRS, str(path), str(gamed)], capture_output=True, text=True, check=True
    )
    return json.loads(told.stdout.splitlines()[-1])


def _gamed(path: Path, size: int) -> tuple[Gamed, np.ndarray]:
    """(the gamed rows, difficulties by place in the annotations, which is how AlpacaEval joins)."""
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    longer, difficulty, wins = (
        np.array([float(row[key]) for row in rows])
        for key in ("std_delta_len", "instruction_difficulty", "preference")
    )
    return Gamed(-longer, difficulty, wins), difficulty[:size]


def _stand_ins(path: Path, size: int = 805) -> Path:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=size)
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(
            ["index", "model", "preference", "std_delta_len", "instruction_difficulty",
             "not_gamed_baseline"]
        )  # fmt: skip
        for twin in ("verbose", "concise"):
            for k in range(size):
                cells = [k, twin, rng.random(), rng.normal(), difficulty[k], False]
                table.writerow(cells)
    return path


def _published(board: Path) -> dict[str, float]:
    with board.open(encoding="utf-8") as lines:
        column = "length_controlled_winrate"
        return {row[""]: float(row[column]) for row in csv.DictReader(lines) if row.get(column)}


if __name__ == "__main__":
    main()
