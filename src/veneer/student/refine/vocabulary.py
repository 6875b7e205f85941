"""One vocabulary, two ways of writing a conversation: what a teacher reads of a student's answer.

A student has the tokens of its base and our markers; an open teacher of the same family has the
same tokens and markers of its own. Each reads the question in its own template. The answer is
the student's tokens for both, but for the token that ends it: the student's `<|end|>` is, for
the teacher, the token that ends an answer in its own template. Where both are written alike (a
teacher that was trained here) nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.records import Message

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from veneer.models.local import LocalModel

FLOOR = 20.0
"""Nats below the mean logit: where the teacher's logit lies for what it has no token for."""


@dataclass(frozen=True)
class Bridge:
    """From the student's token ids to the teacher's.

    rows: the teacher's id for each row of the student's output layer, -1 where it has none.
    end: the student's end token; `teacher_end` the teacher's.
    """

    rows: tuple[int, ...]
    end: int
    teacher_end: int

    @property
    def unread(self) -> list[int]:
        """Ids that the teacher has no token for: never sampled."""
        return [i for i, row in enumerate(self.rows) if row < 0]

    def read(self, answers: torch.Tensor) -> torch.Tensor:
        """The student's tokens (any shape) as the teacher's; padding may become any id."""
        import torch

        rows = torch.tensor(self.rows, device=answers.device).clamp(min=0)
        return rows[answers]

    def head(self, teacher: PreTrainedModel) -> torch.nn.Linear:
        """The teacher's output layer over the student's ids, (student rows, teacher width).

        A row for an id that the teacher has no token for is the mean row, `FLOOR` nats lower, so
        that it has no weight to speak of and every divergence stays finite.
        """
        import torch

        layer: Any = teacher.get_output_embeddings()
        weight = layer.weight.detach()
        rows = torch.tensor(self.rows, device=weight.device)
        none = rows < 0
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach()
        made = torch.nn.Linear(
            weight.shape[1], len(rows), device=weight.device, dtype=weight.dtype
        ).requires_grad_(False)
        made.weight.copy_(weight[rows.clamp(min=0)])
        made.bias.copy_(bias[rows.clamp(min=0)])
        made.weight[none] = weight.mean(dim=0)
        made.bias[none] = bias.mean() - FLOOR
        return made


def bridge(student: LocalModel, teacher: LocalModel) -> Bridge:
    """How the teacher reads what the student says.

    Raises:
        InputError: the teacher's tokens are others than the student's.
    """
    ours, theirs = student.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
    added = student.tokenizer.get_added_vocab()
    ordinary = [token for token in ours if token not in added]
    differing = [token for token in ordinary if theirs.get(token) != ours[token]]
    if differing:
        raise InputError(
            f"The teacher {teacher.name} has another vocabulary than the student: "
            f"{len(differing):,} of the student's {len(ordinary):,} tokens have another id there "
            f"or none ({', '.join(map(repr, sorted(differing, key=ours.__getitem__)[:3]))}).",
            "On-policy distillation compares token by token: choose a teacher of the base's "
            "family, or refine by: preference, which needs no common tokens.",
        )
    size = student.model.get_output_embeddings().weight.shape[0]
    there = teacher.model.get_output_embeddings().weight.shape[0]
    rows = [-1] * size
    for token, i in ours.items():
        if i < size and theirs.get(token) == i and i < there:
            rows[i] = i
    end, teacher_end = _end_of(student), _end_of(teacher)
    if end != teacher_end and teacher_end < size:
        rows[teacher_end] = -1  # an answer has one end
    rows[end] = teacher_end
    return Bridge(tuple(rows), end, teacher_end)


def _end_of(model: LocalModel) -> int:
    """The token that ends an answer in a model's template (the end token, where it has none)."""
    from veneer.models.chat import render

    tokenizer: PreTrainedTokenizerBase = model.tokenizer
    if not model.is_chat:
        if tokenizer.eos_token_id is None:
            raise InputError(f"{model.name} has no token that ends an answer.", "Choose another.")
        return int(tokenizer.eos_token_id)
    turns = [Message(role="user", content="a"), Message(role="assistant", content="a")]
    rendered = render(turns, tokenizer)
    said = [i for i, kept in zip(rendered.ids, rendered.mask, strict=True) if kept]
    found = [i for i in said if i in model.ends]
    if not found:
        raise InputError(
            f"The chat template of {model.name} ends an answer with no end token of the model.",
            "Name the token in the model's generation_config.json (eos_token_id).",
        )
    return found[0]
