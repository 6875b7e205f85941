"""Pairwise judgments of FastChat's `gen_judgment` (MT-bench, Zheng et al. 2023).

A row is a prompt in both orders: `{question_id, turn, model_1, model_2, g1_winner, g2_winner,
judge: [model, template], g1_judgment, g2_judgment}`. The first game shows model_1's answer first,
the second game model_2's; either winner is told as "model_1", "model_2" or "tie" whatever the
order, and anything else ("error") is no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.recorded.files import Row
from veneer.measure.recorded.naming import same_model
from veneer.measure.recorded.outputs import Outputs, Said, prompt_of
from veneer.records import Comparison

_WINS = {"model_1": 0.0, "tie": 0.5, "model_2": 1.0}
_NEEDED = ("question_id", "model_1", "model_2", "g1_winner", "g2_winner")


def has_games(fields: Mapping[str, Any]) -> bool:
    """Whether a row holds a judgment in both orders."""
    return {"model_1", "model_2", "g1_winner", "g2_winner"} <= set(fields)


def read_games(
    path: Path, rows: Sequence[Row], outputs: Sequence[Outputs]
) -> tuple[Comparison, ...]:
    """Two comparisons a row; prompts' texts and lengths come from `outputs`, if there.

    Raises:
        InputError: a row without its question, models or winners.
    """
    found = []
    for row in rows:
        fields = row.fields
        missing = [name for name in _NEEDED if fields.get(name) is None]
        if missing:
            raise InputError(
                f"{path}, {row.at}: lacks {', '.join(missing)}.",
                f"Each row needs {', '.join(_NEEDED)}.",
            )
        turn = fields.get("turn")
        question = (str(fields["question_id"]), turn - 1 if isinstance(turn, int) else 0)
        names = (str(fields["model_1"]), str(fields["model_2"]))
        one, two = (_said(outputs, name, question) for name in names)
        known = one or two or Said(None, question, None)
        lengths = None
        if one and two and one.answer is not None and two.answer is not None:
            lengths = (len(one.answer), len(two.answer))
        judge = fields.get("judge")
        named = [str(part) for part in judge] if isinstance(judge, list) else [str(judge or "")]
        for game, turned in (("g1", False), ("g2", True)):
            winner = fields[f"{game}_winner"]
            wins = _WINS.get(winner) if isinstance(winner, str) else None
            if turned:
                wins = None if wins is None else 1 - wins
            found.append(
                Comparison(
                    prompt=prompt_of(known),
                    first=names[turned],
                    second=names[not turned],
                    second_wins=wins,
                    reason="" if wins is not None else f"the judge's winner is {winner!r}",
                    lengths=lengths[::-1] if lengths and turned else lengths,
                    category=known.category,
                    judge=named[0],
                    template=named[1] if len(named) > 1 else "",
                    text=str(fields.get(f"{game}_judgment") or ""),
                )
            )
    return tuple(found)


def _said(outputs: Sequence[Outputs], model: str, question: tuple[str, int]) -> Said | None:
    for file in outputs:
        if same_model(model, file.model):
            return next((said for said in file.said if said.question == question), None)
    return None
