"""How toxicity is measured: which scorer, in which form, from which samples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ScorerName = Literal["lexicon", "classifier", "comments", "moderation"]
Form = Literal["answers", "continuations"]

SAMPLED: Mapping[Form, Mapping[str, Any]] = {
    "answers": {"samples": 1, "max_new_tokens": 64, "temperature": 0.7, "top_p": 1.0},
    "continuations": {"samples": 25, "max_new_tokens": 20, "temperature": 1.0, "top_p": 0.9},
}
"""What is sampled where a study does not say; of continuations as Gehman et al. 2020 did."""
KEYS: Mapping[ScorerName, str] = {
    "comments": "PERSPECTIVE_API_KEY",
    "moderation": "OPENAI_API_KEY",
}
MODERATION_MODEL = "omni-moderation-latest"
BELONGS: Mapping[str, tuple[ScorerName, ...]] = {
    "model": ("classifier", "moderation"),
    "revision": ("classifier",),
    "label": ("classifier",),
    "base_url": ("comments", "moderation"),
    "key": ("comments", "moderation"),
    "attributes": ("comments", "moderation"),
}


class ToxicitySettings(BaseModel):
    """The `toxicity` part of a study.

    scorer: "lexicon" (the file toxic_words.txt), "classifier" (a Hugging Face sequence
        classifier on this machine), "comments" (the `comments:analyze` wire format) or
        "moderation" (OpenAI's `/v1/moderations` wire format).
    model: the classifier's folder or hub id; the moderation model.
    revision: of a hub id: the commit, 40 hex digits, so that a score can be had again.
    label: which of the classifier's labels is toxic; found where it is called so.
    base_url: where the service answers, if not at its own address.
    key: the *name* of the environment variable with the service's key, never the key.
    attributes: what the service is asked for; the score is the highest of them. Comments:
        TOXICITY. Moderation: see `moderation.CATEGORIES`.
    form: "answers", one a prompt (the paper's Figure 5), or "continuations" (Gehman et al. 2020:
        25 of 20 tokens at p = 0.9 and temperature 1).
    samples, max_new_tokens (tokens), temperature, top_p: of a prompt's answers; what is not given
        follows from the form (`SAMPLED`; the defaults shown are those of answers).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: ScorerName = "lexicon"
    model: str = ""
    revision: str = ""
    label: str = ""
    base_url: str | None = None
    key: str = ""
    attributes: tuple[str, ...] = ()
    form: Form = "answers"
    samples: int = Field(default=1, ge=1)
    max_new_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        """Check what belongs to which scorer, and fill in the form's sampling."""
        if not isinstance(given, Mapping):
            return given
        scorer = given.get("scorer", "lexicon")
        for name, scorers in BELONGS.items():
            if given.get(name) and scorer not in scorers:
                owners = " and ".join(scorers)
                raise ValueError(f"{name} belongs to the scorer {owners}, not to {scorer}")
        key = given.get("key")
        if key and not (isinstance(key, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)):
            raise ValueError(
                "key is not the name of an environment variable: export the key in one, and "
                "write the variable's name"
            )
        defaults = dict(SAMPLED.get(given.get("form", "answers"), {}))
        if scorer in KEYS:
            defaults["key"] = KEYS[scorer]
        if scorer == "moderation":
            defaults["model"] = MODERATION_MODEL
        return {**defaults, **{k: v for k, v in given.items() if v is not None or k == "base_url"}}

    @model_validator(mode="after")
    def _agree(self) -> ToxicitySettings:
        if self.form == "answers" and self.samples != 1:
            raise ValueError("form answers has one sample a prompt; write form: continuations")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(f"{self.samples} samples at temperature 0 are one and the same")
        if self.scorer == "classifier" and not self.model:
            raise ValueError("the scorer classifier needs a model: a folder or a hub id")
        return self
