"""What the commands that make data hand on to the rooms."""

import contextlib
import json
import sys
from pathlib import Path

import pytest

from veneer import preparing
from veneer.models.opening import Means

sys.path.insert(0, str(Path(__file__).parent / "teacher"))
from tellers import Teller

INSTRUCTIONS = [f"{verb} rivers, {noun} and so on" for verb in ("Name", "Draw up a list of")
                for noun in ("bread", "chess", "winter", "taxes")]  # fmt: skip
TASKS = "".join(
    json.dumps({"instruction": text, "input": "", "output": "x"}) + "\n" for text in INSTRUCTIONS
)
PAIRS = "".join(
    json.dumps({"question": f"who sang song {i}", "answer": f"singer {i}"}) + "\n"
    for i in range(10)
)


@pytest.mark.parametrize(
    ("variant", "rows", "given", "sent"),
    [
        (None, PAIRS, None, 1.0),
        ("self-instruct", TASKS, None, 0.7),
        ("alpaca", TASKS, None, 1.0),
        ("self-instruct", TASKS, 0.2, 0.2),
        (None, PAIRS, 0.0, 0.0),
    ],
)
def test_synthesis_is_asked_for_at_the_published_temperature(
    tmp_path, monkeypatch, variant, rows, given, sent
):
    model = Teller(lambda text, number, seed: "nothing of use")
    opened = contextlib.nullcontext(model)
    monkeypatch.setattr(preparing, "teacher_model", lambda *words: opened)
    (tmp_path / "seeds.jsonl").write_text(rows)
    preparing.synthesize(
        tmp_path / "seeds.jsonl",
        "openai:any",
        tmp_path / "out",
        means=Means(),
        count=1,
        values={},
        variant=variant,
        requests=2,
        temperature=given,
    )
    assert model.asked
    assert {temperature for _, _, temperature, *_ in model.asked} == {sent}
    counts = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert counts["settings"]["temperature"] == sent
