"""The prompts of judges, in their published wording: templates/*.yaml, with their sources.

A judge sees texts and never names. A text that spells a mark of its template stays what it is: a
template is cut at its own places before anything is filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, get_args

import yaml

from veneer.records import Message

TemplateName = Literal["pair-v2", "vicuna", "alpaca-eval"]
TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)


@dataclass(frozen=True)
class Template:
    """A judge's prompt. `places`: what stands in `user` for the prompt, the first answer and the
    second. `temperature` and `max_new_tokens` are those it was published with.
    """

    name: str
    system: str
    user: str
    places: tuple[str, ...]
    temperature: float
    max_new_tokens: int

    def filled(self, *texts: str) -> tuple[Message, ...]:
        """The conversation that asks about `texts`, one for each of `places`."""
        values = dict(zip(self.places, texts, strict=True))
        cut = re.split(f"({'|'.join(map(re.escape, self.places))})", self.user)
        asked = Message(role="user", content="".join(values.get(part, part) for part in cut))
        return (Message(role="system", content=self.system), asked) if self.system else (asked,)


@lru_cache
def template_of(name: str) -> Template:
    """A template by its file's name."""
    file = resources.files("veneer.measure.judging") / "templates" / f"{name}.yaml"
    fields: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    template = Template(name, **{"system": "", **fields, "places": tuple(fields["places"])})
    assert all(template.user.count(place) == 1 for place in template.places)
    return template
