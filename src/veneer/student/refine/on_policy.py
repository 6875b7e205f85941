"""On-policy distillation through TRL: the student answers, the teacher corrects every token.

TRL's `DistillationTrainer` samples from the student and lowers the divergence of the two
distributions on its answers. Here it is taught three things: the teacher reads the conversation
in its own template and its output layer is laid out by the student's ids (`vocabulary`), every
prompt is used exactly as often as asked (TRL's sampler drops what fills no batch), and positions
are counted from a prompt's first token (beside a longer prompt, learned position embeddings would
otherwise be shifted).
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from veneer.errors import StepFailed
from veneer.student.refine.training import Loss, arguments, mean_of, rows_in_pass, run, watch
from veneer.student.refine.vocabulary import Bridge, bridge

if TYPE_CHECKING:
    import torch

    from veneer.models.local import LocalModel
    from veneer.student.refine.refinement import Refinement

FIGURES = {
    "entropy": "entropy",
    "completions/mean_length": "tokens",
    "completions/clipped_ratio": "cut_off",
}


Asked = tuple[str, list[int], list[int]]
"""A question, and its tokens in the student's and in the teacher's template."""


def distil(
    student: LocalModel,
    teacher: LocalModel,
    prompts: Sequence[str],
    refinement: Refinement,
    seed: int,
    progress: Callable[..., None],
) -> tuple[dict[str, Any], list[Loss]]:
    """Distil the teacher into the student, in place; returns what happened and the losses.

    A loss is the divergence in nats a token of the student's answers. Questions too long for
    either model's context are left out and counted. The teacher's output layer is replaced.

    Raises:
        InputError: the vocabularies differ.
        StepFailed: no prompt fits.
    """
    read = bridge(student, teacher)
    asked, too_long = _that_fit(student, teacher, prompts, refinement.max_new_tokens)
    if not asked:
        raise StepFailed(
            f"None of {len(prompts):,} prompts leaves room for an answer of "
            f"{refinement.max_new_tokens} tokens in {min(student.context, teacher.context)}.",
            "Give a smaller max_new_tokens, or shorter prompts.",
        )
    order, steps = _order(len(asked), refinement, seed)
    losses: list[Loss] = []
    with tempfile.TemporaryDirectory() as scratch:
        questions = [asked[i] for i in order]
        trainer = trainer_of(student, teacher, read, questions, refinement, seed, scratch)
        trainer.add_callback(watch(steps, FIGURES, losses, progress))
        run(trainer)
    student.model.eval()
    facts = {
        "prompts": len(asked),
        "left_out": {"too long for the context": too_long} if too_long else {},
        "answers": len(order),
        "tokens": round(sum(row["tokens"] for row in losses) * refinement.batch),
        "cut_off": sum(row["cut_off"] for row in losses) / len(losses),
        "unread_tokens": len(read.unread),
        "steps": steps,
        "loss": mean_of(losses),
    }
    return facts, losses


def trainer_of(
    student: LocalModel,
    teacher: LocalModel,
    read: Bridge,
    asked: Sequence[Asked],
    refinement: Refinement,
    seed: int,
    scratch: str,
) -> Any:
    """TRL's trainer over whole batches of questions, in this order."""
    from datasets import Dataset
    from trl import DistillationConfig

    teacher.model.set_output_embeddings(read.head(teacher.model))
    teacher.model.config.get_text_config().vocab_size = len(read.rows)
    longest = max(len(ids) for one in asked for ids in one[1:]) + refinement.max_new_tokens
    rows = rows_in_pass(refinement.batch, longest)
    steps = len(asked) // refinement.batch
    config = DistillationConfig(
        **arguments(refinement, seed, steps, rows, refinement.batch, scratch),
        max_completion_length=refinement.max_new_tokens,
        temperature=refinement.temperature,
        beta=refinement.divergence,
        shuffle_dataset=False,
        generation_kwargs={"suppress_tokens": read.unread} if read.unread else None,
    )
    config._n_gpu = min(config.n_gpu, 1)
    trainer = _trainer_class()(
        model=student.model,
        teacher_model=teacher.model,
        args=config,
        train_dataset=Dataset.from_list(
            [{"prompt": [{"role": "user", "content": text}]} for text, *_ in asked]
        ),
        processing_class=student.tokenizer,
    )
    trainer.bridge = read
    trainer.questions = {tuple(ours): theirs for _, ours, theirs in asked}
    return trainer


def _that_fit(
    student: LocalModel, teacher: LocalModel, prompts: Sequence[str], room: int
) -> tuple[list[Asked], int]:
    """The questions that leave `room` tokens for an answer in both models; how many do not."""
    both = zip(prompts, student.prompt_ids(prompts), teacher.prompt_ids(prompts), strict=True)
    kept = [
        (prompt, ours, theirs)
        for prompt, ours, theirs in both
        if len(ours) + room <= student.context and len(theirs) + room <= teacher.context
    ]
    return kept, len(prompts) - len(kept)


def _order(count: int, refinement: Refinement, seed: int) -> tuple[list[int], int]:
    """Places of the prompts in whole batches, shuffled every epoch; and the number of steps.

    The last batch is filled up from one more epoch.
    """
    steps = ceil(refinement.epochs * count / refinement.batch)
    wanted = steps * refinement.batch
    random = np.random.default_rng(seed)
    epochs = [random.permutation(count).tolist() for _ in range(ceil(wanted / count))]
    return [place for epoch in epochs for place in epoch][:wanted], steps


def _trainer_class() -> type[Any]:
    import torch
    from trl import DistillationTrainer

    class OnPolicyTrainer(DistillationTrainer):
        """`DistillationTrainer` whose teacher reads its own template; see the module."""

        bridge: Bridge
        questions: dict[tuple[int, ...], list[int]]

        def _get_last_hidden_state(
            self,
            unwrapped_model: Any,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            logits_to_keep: int,
            **others: Any,
        ) -> torch.Tensor:
            """(rows, answer, width): the states that predict each token of the answers."""
            ids, mask = input_ids, attention_mask
            if unwrapped_model is self.accelerator.unwrap_model(self.teacher_model):
                ids, mask = self._for_the_teacher(ids, mask, logits_to_keep)
            backbone = unwrapped_model.base_model
            more = {}
            if "position_ids" in inspect.signature(backbone.forward).parameters:
                more["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
            states = backbone(input_ids=ids, attention_mask=mask, use_cache=False, **more)
            kept: torch.Tensor = states.last_hidden_state[:, -logits_to_keep - 1 : -1]
            return kept

        def _for_the_teacher(
            self, ids: torch.Tensor, mask: torch.Tensor, answer: int
        ) -> tuple[torch.Tensor, torch.Tensor]:
            """The same rows with the questions in the teacher's template, padded on the left."""
            asked = [
                self.questions[tuple(row[kept.bool()].tolist())]
                for row, kept in zip(ids[:, :-answer], mask[:, :-answer], strict=True)
            ]
            width = max(map(len, asked))
            padded = torch.tensor([[0] * (width - len(one)) + one for one in asked])
            real = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in asked])
            answers = self.bridge.read(ids[:, -answer:])
            return (
                torch.cat([padded.to(ids.device), answers], dim=1),
                torch.cat([real.to(mask.device, mask.dtype), mask[:, -answer:]], dim=1),
            )

    return OnPolicyTrainer
