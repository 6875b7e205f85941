"""Preference imitation: the student's answers, the teacher's choice, DPO through TRL.

TRL's `DPOTrainer` tokenises text itself; here it is given the chat renderer's tokens, so that a
student learns preferences in the very tokens it learned to imitate in. The frozen reference is
the student as it was: its log-probabilities are taken once, before training, by the same code
that measures models, so no second model is held in memory.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError, StepFailed
from veneer.models.asking import Ask
from veneer.records import Answer, Message, Prompt
from veneer.student.refine.ranking import by_judgement, by_likelihood, candidates
from veneer.student.refine.refinement import Pair, Unpaired
from veneer.student.refine.training import Loss, arguments, mean_of, rows_in_pass, run, watch

if TYPE_CHECKING:
    from veneer.models.asking import Model
    from veneer.models.local import LocalModel
    from veneer.student.refine.ranking import Progress
    from veneer.student.refine.refinement import Refinement

FIGURES = {
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "logps/chosen": "chosen",
    "logps/rejected": "rejected",
}

Tokens = tuple[list[int], list[int], list[int]]
"""A pair as the student reads it: the prompt, the chosen and the rejected answer."""


def sampled(
    student: LocalModel,
    prompts: Sequence[Prompt],
    refinement: Refinement,
    seed: int,
    progress: Progress | None = None,
) -> list[Answer]:
    """`samples` answers to each prompt in the student's own template, prompt by prompt."""
    asked = [(prompt, i) for prompt in prompts for i in range(refinement.samples)]
    said = student.ask(
        [Ask.of(prompt.text, i) for prompt, i in asked],
        max_new_tokens=refinement.max_new_tokens,
        temperature=refinement.temperature,
        seed=seed,
        progress=progress,
    )
    return [
        Answer(
            prompt=prompt.text,
            text=reply.text,
            model="student",
            sample=i,
            outcome=reply.outcome,
            reason=reply.reason,
            category=prompt.category,
            source=prompt.source,
            licence=prompt.licence,
        )
        for (prompt, i), reply in zip(asked, said, strict=True)
    ]


def criterion_of(teacher: Model, refinement: Refinement) -> str:
    """ "likelihood" or "judge", by what is asked for and by what the teacher can do.

    Raises:
        InputError: the likelihood of an answer is asked of an endpoint.
    """
    opened = hasattr(teacher, "loglikelihoods")
    if refinement.criterion == "auto":
        return "likelihood" if opened else "judge"
    if refinement.criterion == "likelihood" and not opened:
        raise InputError(
            f"{teacher.name} lies behind an endpoint, which tells no log-probability of an answer "
            "that it is given.",
            "Set criterion: judge, or take a teacher whose weights are at hand.",
        )
    return refinement.criterion


def compared(
    teacher: Any, answers: Sequence[Answer], refinement: Refinement, progress: Progress | None
) -> tuple[list[Pair], list[Unpaired]]:
    """The teacher's preferences among the answers, and what gave none.

    Raises:
        StepFailed: there is no preference at all; says why, with counts.
    """
    asked = candidates(answers)
    if criterion_of(teacher, refinement) == "likelihood":
        rows = by_likelihood(teacher, asked, progress)
    else:
        rows = by_judgement(teacher, asked, refinement.verdict_tokens, progress)
    pairs = [row for row in rows if isinstance(row, Pair)]
    unpaired = [row for row in rows if isinstance(row, Unpaired)]
    if not pairs:
        why = "; ".join(f"{reason}: {n:,}" for reason, n in reasons(unpaired).items())
        raise StepFailed(
            f"None of {len(asked):,} prompts gave a preference ({why}).",
            "Give more prompts or samples, a higher temperature or more max_new_tokens.",
        )
    return pairs, unpaired


def reasons(unpaired: Sequence[Unpaired]) -> dict[str, int]:
    """How often each reason occurs, by name."""
    return dict(sorted(Counter(row.reason for row in unpaired).items()))


def tokens_of(pairs: Sequence[Pair], student: LocalModel) -> list[Tokens]:
    """Pairs as the chat renderer writes them; an answer carries its end token."""
    from veneer.models.chat import render_many, render_prompts

    asked = [(Message(role="user", content=pair.prompt),) for pair in pairs]
    questions = render_prompts(asked, student.tokenizer)

    def answers(texts: list[str]) -> list[list[int]]:
        dialogues = [
            (*turn, Message(role="assistant", content=text))
            for turn, text in zip(asked, texts, strict=True)
        ]
        rendered = render_many(dialogues, student.tokenizer)
        return [one.ids[len(q) :] for one, q in zip(rendered, questions, strict=True)]

    chosen = answers([pair.chosen for pair in pairs])
    rejected = answers([pair.rejected for pair in pairs])
    return list(zip(questions, chosen, rejected, strict=True))


def logps_of(student: LocalModel, tokens: Sequence[Tokens]) -> list[tuple[float, float]]:
    """Log-probabilities (nats, summed over an answer's tokens) of (chosen, rejected)."""
    requests = [(q, said) for q, *both in tokens for said in both]
    found = [value for value, _ in student.loglikelihoods(requests)]
    return list(zip(found[::2], found[1::2], strict=True))


def prefer(
    student: LocalModel,
    pairs: Sequence[Pair],
    refinement: Refinement,
    seed: int,
    progress: Callable[..., None],
) -> tuple[dict[str, Any], list[Loss]]:
    """Train the student by DPO, in place; returns what happened and the losses.

    Pairs that do not fit the student's context are left out and counted.

    Raises:
        StepFailed: none fits.
    """
    from datasets import Dataset
    from trl import DPOConfig

    every = tokens_of(pairs, student)
    tokens = [t for t in every if len(t[0]) + max(len(t[1]), len(t[2])) <= student.context]
    if not tokens:
        raise StepFailed(
            f"None of {len(every):,} pairs fits the student's {student.context:,} tokens.",
            "Give shorter prompts, or a smaller max_new_tokens.",
        )
    before = logps_of(student, tokens)
    longest = max(len(q) + max(len(a), len(b)) for q, a, b in tokens)
    batch = min(refinement.batch, len(tokens))
    rows = rows_in_pass(batch, 2 * longest)
    # A last batch that is not full is a step of its own in every epoch.
    steps = refinement.epochs * ceil(len(tokens) / batch)
    losses: list[Loss] = []
    data = [
        {"prompt_ids": q, "chosen_ids": a, "rejected_ids": b}
        | {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for (q, a, b), (chosen, rejected) in zip(tokens, before, strict=True)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        config = DPOConfig(
            **arguments(refinement, seed, steps, rows, batch, scratch),
            beta=refinement.beta,
            max_length=None,
            precompute_ref_log_probs=True,
        )
        config._n_gpu = min(config.n_gpu, 1)
        trainer = _trainer_class()(
            model=student.model,
            args=config,
            train_dataset=Dataset.from_list(data),
            processing_class=student.tokenizer,
            callbacks=[watch(steps, FIGURES, losses, progress)],
        )
        run(trainer)
    student.model.eval()
    after = logps_of(student, tokens)
    facts = {
        "pairs": len(tokens),
        "left_out": {"too long for the context": len(every) - len(tokens)}
        if len(every) > len(tokens)
        else {},
        "tokens": sum(len(a) + len(b) for _, a, b in tokens),
        "steps": steps,
        "loss": mean_of(losses),
        "margin": {"start": _margin(before), "end": _margin(after)},
        "preferred": {"start": _preferred(before), "end": _preferred(after)},
        "chosen": {"start": _mean(c for c, _ in before), "end": _mean(c for c, _ in after)},
    }
    return facts, losses


def _mean(values: Any) -> float:
    listed = list(values)
    return float(sum(listed) / len(listed))


def _margin(logps: Sequence[tuple[float, float]]) -> float:
    """Mean of log p(chosen) − log p(rejected), nats."""
    return _mean(chosen - rejected for chosen, rejected in logps)


def _preferred(logps: Sequence[tuple[float, float]]) -> float:
    """Share of pairs whose chosen answer is the likelier one."""
    return _mean(float(chosen > rejected) for chosen, rejected in logps)


def _trainer_class() -> type[Any]:
    from trl import DPOTrainer

    class RenderedDPOTrainer(DPOTrainer):
        """`DPOTrainer` over tokens and reference log-probabilities that are already there."""

        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *args: Any) -> Any:
            return dataset

    return RenderedDPOTrainer
