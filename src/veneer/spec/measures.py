"""What models are measured on: names of measures, and the files that each needs."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, WithJsonSchema

from veneer.errors import nearest
from veneer.measure import names
from veneer.measure.names import LM_EVAL

OurMeasure = Literal["nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity", "judge"]
MEASURES = names.MEASURES
"""What is measured where a study does not say; "judge" costs money and wants to be asked for."""

NEEDS = {**names.NEEDS, "judge": names.NEEDS["style"]}
"""Files of the evaluation folder that each measure reads; a judge compares answers of "style"."""


def _known(name: str) -> str:
    if name in get_args(OurMeasure) or (name.startswith(LM_EVAL) and name != LM_EVAL):
        return name
    hint = nearest(name, get_args(OurMeasure))
    raise ValueError(f"no such measure. {hint} Or a task of lm-eval, as in {LM_EVAL}gsm8k")


Measure = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(OurMeasure)), "type": "string"},
                {"pattern": f"^{LM_EVAL}.", "type": "string"},
            ]
        }
    ),
]
"""A measure of ours, or lm_eval:TASK."""
