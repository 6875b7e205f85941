"""What both methods share: TRL's settings, the losses on the way, the folder at the end."""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import StepFailed

if TYPE_CHECKING:
    from transformers import TrainerCallback

    from veneer.models.local import LocalModel
    from veneer.student.refine.refinement import Refinement

TOKENS_IN_PASS = 1 << 14
"""Tokens of one forward pass; a larger batch accumulates gradients over several passes."""

TRAINED_ON = "trained_on.json"
"""The data amount that a student was trained on: refining adds none."""

Loss = dict[str, float]


def rows_in_pass(batch: int, longest: int) -> int:
    """Rows of one pass: the most that divide the batch and stay in TOKENS_IN_PASS, at least 1."""
    return max(
        (n for n in range(1, batch + 1) if batch % n == 0 and n * longest <= TOKENS_IN_PASS),
        default=1,
    )


def arguments(
    refinement: Refinement, seed: int, steps: int, rows: int, batch: int, scratch: str
) -> dict[str, Any]:
    """Settings of any TRL trainer: a constant rate after warm-up, nothing reported or kept."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": scratch,
        "max_steps": steps,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": batch // rows,
        "learning_rate": refinement.rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": math.ceil(refinement.warmup_share * steps),
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "activation_checkpointing": False,
        "seed": seed,
        "use_cpu": not gpu,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def watch(
    steps: int, kept: dict[str, str], losses: list[Loss], progress: Callable[..., None]
) -> TrainerCallback:
    """A callback that appends to `losses` what a trainer logs, and tells how far it is.

    Args:
        kept: what TRL calls a figure, and what we do.
    """
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            logs = kwargs["logs"]
            if "loss" not in logs:
                return
            if not math.isfinite(logs["loss"]):
                raise StepFailed(
                    f"Refining diverged: the loss at step {state.global_step} is no number.",
                    "Give a smaller learning_rate.",
                )
            row = {"step": state.global_step, "loss": logs["loss"]}
            losses.append(row | {ours: logs[name] for name, ours in kept.items() if name in logs})
            progress(state.global_step, steps, f"loss {logs['loss']:.3f}")

    return Watch()


def run(trainer: Any) -> None:
    """Train with nothing printed, TRL's use of names that transformers gives up included."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer.train()


def mean_of(losses: list[Loss], name: str = "loss") -> dict[str, float]:
    """A figure at the start and at the end: the mean over the first and the last tenth of steps."""
    values = [row[name] for row in losses]
    share = max(1, len(values) // 10)
    return {
        "start": sum(values[:share]) / share,
        "end": sum(values[-share:]) / share,
    }


def save(student: LocalModel, source: Path, folder: Path) -> None:
    """The refined model with the tokenizer, template and generation settings of its student.

    A trainer changes the padding token and switches caching off; the student's are put back.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    model = student.model
    before = AutoConfig.from_pretrained(source)
    model.config.pad_token_id, model.config.use_cache = before.pad_token_id, before.use_cache
    if (source / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(source)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    if (source / TRAINED_ON).is_file():
        shutil.copyfile(source / TRAINED_ON, folder / TRAINED_ON)
