"""What a student is trained on: imitation, and what may be added to it.

A loss is a function of the model and a batch that returns a *sum*; the training loop divides by
the labelled tokens of the whole optimiser step, so that passes and ranks add up to the right
scale. A batch holds tensors of shape (rows, block): `ids`, `labels` (-100 where there is no
loss) and, for packed documents, `positions`, which restart with every document.

- `imitation_loss`: cross-entropy on the labelled tokens.
- `kl_to`: the same, and a penalty for leaving the base model's predictions.
- `distilled`: part of it replaced by the teacher's whole distribution.

Only the positions that are scored reach the output layer, whatever the model does around it
(scaling, soft-capping). Where even those make too many logits, they are computed in chunks and
once more in the backward pass, so that a large vocabulary fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from veneer.errors import InputError
from veneer.student.isolation import model_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Batch = Mapping[str, torch.Tensor]
Loss = Callable[[Any, Batch], torch.Tensor]

IGNORED = -100
"""The label of a token without a loss."""

LOGITS_AT_ONCE = 1 << 28
"""Logits (positions × vocabulary) that are computed in one piece: 1 GiB in fp32."""


def imitation_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy summed over the labelled tokens, in nats; fp32 logits.

    A label is predicted from the position before it, so a row's first label never counts.
    """
    kept = labelled(batch)
    targets = batch["labels"][:, 1:][kept]
    student = Predictions.of(model, batch, kept)

    def score(rows: slice) -> torch.Tensor:
        return cross_entropy(student.logits(rows), targets[rows], reduction="sum")

    return summed(score, len(targets), student.vocabulary)


def kl_to(base: Any, weight: float) -> Loss:
    """Imitation, and `weight` times KL(base ‖ student) at every token of the block, summed.

    The direction is the one of Learning without Forgetting (Li and Hoiem, 2016, eq. 3) and of
    distillation: probability that the base gives must stay, which is what forgetting loses. The
    reverse, the penalty of RLHF, asks only that the student say nothing that the base would
    not: a student that has forgotten half of it pays little. And it counts at *all* tokens, not
    only at the labelled ones: in the teacher's answers, KL and cross-entropy pull against each
    other; in the users' words nothing is learned, so what the base knows can be held there for
    nothing. Each token's KL weighs `weight` times what a labelled token's loss does. Padding is
    left out, and so are the first tokens of documents that are kept apart.

    base: the base as training starts, its new rows included; frozen and in eval mode here. It
    costs its weights in memory and one more forward pass.
    """
    frozen(base)

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        text = spoken(batch)
        targets = batch["labels"][:, 1:][text]
        student = Predictions.of(model, batch, text)
        with torch.no_grad():
            before = Predictions.of(base, batch, text)

        def score(rows: slice) -> torch.Tensor:
            said = log_softmax(student.logits(rows), dim=-1)
            with torch.no_grad():
                was = log_softmax(before.logits(rows), dim=-1)
            imitated = torch.nn.functional.nll_loss(
                said, targets[rows], reduction="sum", ignore_index=IGNORED
            )
            return imitated + weight * kl_div(said, was, reduction="sum", log_target=True)

        return summed(score, len(targets), student.vocabulary)

    return loss


def distilled(teacher: Any, weight: float, temperature: float, tokens: int) -> Loss:
    """(1 − w) · cross-entropy + w · T² · KL(teacher_T ‖ student_T), over the labelled tokens.

    Hinton, Vinyals and Dean (2015), §2: both distributions are softened by the temperature T,
    and T² keeps the gradient's size. Only the first `tokens` ids are compared, those that both
    vocabularies name (`same_tokens`); rows that pad either matrix are left out.

    teacher: frozen and in eval mode here; it reads the very tokens that the student reads.
    """
    frozen(teacher)

    def loss(model: Any, batch: Batch) -> torch.Tensor:
        kept = labelled(batch)
        targets = batch["labels"][:, 1:][kept]
        student = Predictions.of(model, batch, kept)
        with torch.no_grad():
            taught = Predictions.of(teacher, batch, kept)

        def score(rows: slice) -> torch.Tensor:
            logits = student.logits(rows)
            with torch.no_grad():
                told = log_softmax(taught.logits(rows)[:, :tokens] / temperature, dim=-1)
            said = log_softmax(logits[:, :tokens] / temperature, dim=-1)
            hard = cross_entropy(logits, targets[rows], reduction="sum")
            soft = kl_div(said, told, reduction="sum", log_target=True)
            return (1 - weight) * hard + weight * temperature**2 * soft

        return summed(score, len(targets), max(student.vocabulary, taught.vocabulary))

    return loss


def same_tokens(teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase) -> int:
    """How many ids a student can be told about by a teacher's distribution: its own tokens.

    Every token of the student must have the same id in the teacher's vocabulary, the chat
    markers too; the teacher may know more tokens. Anything else is an InputError.
    """
    theirs, ours = teacher.get_vocab(), student.get_vocab()
    for token, at in sorted(ours.items(), key=lambda pair: pair[1]):
        if theirs.get(token) != at:
            there = f"id {theirs[token]}" if token in theirs else "unknown"
            raise InputError(
                f"The teacher's distribution cannot be learned: {token!r} is id {at} in the "
                f"student's vocabulary and {there} in the teacher's.",
                "Give a teacher with the student's tokenizer and chat tokens, or leave `distil` "
                "out of the recipe: the teacher's texts need no common vocabulary.",
            )
    return max(ours.values()) + 1


# ---- logits where they are needed -----------------------------------------------------------


def labelled(batch: Batch) -> torch.Tensor:
    """Which tokens but the first of each row have a loss: (rows, block − 1) booleans."""
    return batch["labels"][:, 1:] != IGNORED


def spoken(batch: Batch) -> torch.Tensor:
    """Which tokens but the first of each row are text to be predicted: (rows, block − 1) booleans.

    Where documents are kept apart, positions begin anew in each and in padding, which is the
    part without an answer; a document's first token follows from nothing.
    """
    answered = batch["labels"] != IGNORED
    if "positions" not in batch:
        return torch.ones_like(answered[:, 1:])
    first = batch["positions"] == 0
    part = first.cumsum(1)
    answers = part.new_zeros(part.shape[0], part.shape[1] + 1).scatter_add_(
        1, part, answered.long()
    )
    return (answers.gather(1, part) > 0)[:, 1:] & ~first[:, 1:]


def frozen(model: Any) -> None:
    """Set a model that is only listened to: no dropout, no gradients."""
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)


@dataclass(frozen=True)
class Predictions:
    """A model's predictions at n positions, whose logits are there or computed when asked for.

    Either `ready` (n, vocabulary) is kept, or `hidden` (n, width), the states before the output
    layer, with the type `output` that the model's layers give them in.
    """

    model: Any
    vocabulary: int
    ready: torch.Tensor | None = None
    hidden: torch.Tensor | None = None
    output: type | None = None

    @classmethod
    def of(cls, model: Any, batch: Batch, kept: torch.Tensor) -> Predictions:
        """One forward pass; `kept` (rows, block − 1) says after which tokens to predict."""
        head = plain(model).get_output_embeddings()
        vocabulary = int(model.config.get_text_config().vocab_size)
        in_one = int(kept.sum()) * vocabulary <= LOGITS_AT_ONCE
        seen: list[Any] = []

        def narrow(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            states = args[0][:, :-1][kept]
            seen.append(states)
            return (states if in_one else states[:0], *args[1:])

        layers = plain(model).base_model
        hooks = [
            layers.register_forward_hook(lambda module, args, output: seen.append(type(output))),
            head.register_forward_pre_hook(narrow),
        ]
        try:
            logits = model(**model_inputs(batch)).logits
        finally:
            for hook in hooks:
                hook.remove()
        if in_one:
            return cls(model, vocabulary, ready=logits)
        output, hidden = seen
        return cls(model, vocabulary, hidden=hidden, output=output)

    def logits(self, rows: slice) -> torch.Tensor:
        """Logits (rows, vocabulary) in fp32."""
        if self.ready is not None:
            return self.ready[rows].float()
        assert self.hidden is not None
        assert self.output is not None
        given = self.output(last_hidden_state=self.hidden[rows][None])
        with replaying(self.model, given):
            ids = torch.zeros((1, 1), dtype=torch.long, device=self.hidden.device)
            return self.model(input_ids=ids, use_cache=False).logits[0].float()


def summed(score: Callable[[slice], torch.Tensor], count: int, vocabulary: int) -> torch.Tensor:
    """`score` over `count` positions, in as many chunks as their logits need.

    With more than one, a chunk's logits are dropped after its score and computed again for its
    gradient.
    """
    size = max(1, LOGITS_AT_ONCE // vocabulary)
    if count <= size:
        return score(slice(0, count))
    from torch.utils.checkpoint import checkpoint

    parts = [
        checkpoint(score, slice(start, min(start + size, count)), use_reentrant=False)
        for start in range(0, count, size)
    ]
    return torch.stack(parts).sum()


@contextmanager
def replaying(model: Any, output: Any) -> Iterator[None]:
    """Within, the model's layers give `output` and compute nothing.

    What remains of a forward pass is the output layer with all that the architecture does
    before and after it.
    """
    layers = plain(model).base_model
    layers.forward = lambda *args, **kwargs: output
    try:
        yield
    finally:
        del layers.forward


def plain(model: Any) -> Any:
    """The transformers model inside an adapter's wrapping, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
