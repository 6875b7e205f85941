"""Who judges, by which prompt, in which orders."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from veneer.measure.judging.templates import TemplateName
from veneer.models.resolve import parse_model

REACHED_BY = {"base_url", "key"}


class JudgeSettings(BaseModel):
    """How answers are judged.

    `model`: "openai:NAME" or "hf:PATH". `base_url`: of an OpenAI-compatible endpoint, where it is
    not the environment's OPENAI_BASE_URL; `key`: the *name* of the environment variable that
    holds the key. `template`: "pair-v2" (FastChat, 2023), "vicuna" (the paper's Appendix C) or
    "alpaca-eval". `orders`: "both" asks about every pair twice, either answer first once; "drawn"
    asks once, which comes first drawn for each prompt by a hash with `seed`, as AlpacaEval does;
    "given" asks once, the opponent's answer first. `retries`: how often a prompt is asked again
    where no verdict could be read. `max_new_tokens`, `temperature`: None for the template's own.
    `tone`: also ask whether each answer speaks in an authoritative tone (the paper's Table 2).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    base_url: str | None = None
    key: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    template: TemplateName = "pair-v2"
    orders: Literal["both", "drawn", "given"] = "both"
    retries: int = Field(default=2, ge=0)
    max_new_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0)
    tone: bool = True
    seed: int = 0

    @model_validator(mode="after")
    def _is_reached_somehow(self) -> JudgeSettings:
        given = self.model_fields_set & REACHED_BY
        if parse_model(self.model).scheme != "openai" and given:
            raise ValueError(f"base_url and key belong to openai: models, not to {self.model}")
        return self

    def deciding(self) -> dict[str, Any]:
        """What decides the verdicts, as a step's parameter: all but the way to the endpoint."""
        return self.model_dump(mode="json", exclude=REACHED_BY)
