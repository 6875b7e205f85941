"""Published recipes under their names, as fields of a Recipe.

A preset says what its source says and leaves the rest at the Recipe's defaults, which are the
paper's. None of them fixes a base, a corpus or a prompt format: Veneer marks turns with its
own special tokens in all of them. Two things hold for every preset:

- A step's loss is the mean over all its labelled tokens. The Hugging Face trainer behind Vicuna
  and Alpaca (2023) averaged within each pass first, so that words in short answers weighed more.
- Precision is the machine's choice (`precision="auto"`), where the sources ran in bf16.
"""

from __future__ import annotations

from typing import Any

from veneer.errors import SpecError, nearest

PAPER: dict[str, Any] = {
    "block": 2048,
    "batch": 32,
    "epochs": 1,
    "packing": "chunk",
    "learning_rate": 2e-3,
    "schedule": "faithful",
    "warmup_steps": 1000,
    "decay": "none",
    "optimiser": "adamw-rms",
}
"""Gudibande et al. 2023, "The False Promise of Imitating Proprietary LLMs", §4.1.

"we chunk the conversations into 2048 tokens blocks" (block, packing); "standard LM losses on
only the model outputs"; "we train for one epoch using the AdamW optimizer with gradients
re-scaled by the magnitude of each weight" (epochs, optimiser); "a learning rate of 2e-3 with
1000 steps of linear warm-up from 0, and we train with batch size 32" (learning_rate, schedule,
warmup_steps, batch). No decay is mentioned, so the rate stays (decay). Betas, weight decay and
clipping are not mentioned either and not set here; `optimiser="easylm"` is what the authors'
code base makes of the same words.
"""

KOALA: dict[str, Any] = {
    "block": 2048,
    "epochs": 2,
    "packing": "chunk",
    "optimiser": "easylm",
    "clip": 1.0,
}
"""Geng et al., April 2023: Koala, LLaMA fine-tuned in EasyLM by authors of the paper.

- epochs: "2 epochs" on eight A100 (bair.berkeley.edu/blog/2023/04/03/koala).
- block: `--seq_length=2048` in EasyLM's `docs/koala.md`, which serves the model.
- packing: EasyLM's `JsonDataset` joins all conversations and cuts them at the block's length.
- optimiser, clip: the defaults of EasyLM's `optimizers.py` as of the release (commit 3a8b2a0):
  `multiply_by_parameter_scale=True`, b1 0.9, b2 0.95, clip_gradient 1.0. Its bf16 momentum is
  not followed: ours has the weights' precision.

The authors' command (github.com/young-geng/EasyLM/issues/32; 13B, 20,000 steps) also sets
dropout of 0.05 on residuals, embeddings and attention, and forgetful causal masking of up to
0.1 of the context (`fcm_max_ratio`, Liu et al. 2022). No recipe here has either: a base keeps
the dropout of its own configuration. Rate, warm-up, batch and weight decay are the Recipe's
defaults, that is the paper's, and not taken from that command.

The text format, `BEGINNING OF CONVERSATION: USER: … GPT:…</s>` in `docs/koala.md`, is replaced by
Veneer's markers.
"""

VICUNA: dict[str, Any] = {
    "block": 2048,
    "batch": 128,
    "epochs": 3,
    "packing": "best-fit",
    "learning_rate": 2e-5,
    "schedule": "faithful",
    "warmup_steps": None,
    "warmup_share": 0.03,
    "decay": "cosine",
    "decay_share": 1.0,
    "optimiser": "adamw",
    "betas": (0.9, 0.999),
    "weight_decay": 0.0,
    "clip": 1.0,
}
"""Chiang et al. 2023: Vicuna, from FastChat's README, "Fine-tuning".

- block, batch, epochs, learning_rate, weight_decay: its table (2048, 128, 3, 2e-5, 0), and the
  command below it: `--model_max_length 2048`, 4 GPUs × 2 × 16 passes, `--num_train_epochs 3`,
  `--learning_rate 2e-5`, `--weight_decay 0.`.
- warm-up and decay: `--warmup_ratio 0.03`, `--lr_scheduler_type "cosine"`: from 0 over the first
  3 % of the steps, then a half cosine to 0. FastChat's `scripts/train_vicuna_7b.sh` and
  `_13b.sh` say 0.04.
- optimiser: `optim="adamw_torch"` in `fastchat/train/train.py`.
- betas, clip: untouched by the command; the defaults of transformers' TrainingArguments
  (`adam_beta1`, `adam_beta2`, `max_grad_norm`).

FastChat gives every conversation a row of its own, padded to 2,048 tokens and cut there, after
splitting long ones beforehand. Here conversations are packed whole and kept apart
(`packing="best-fit"`): none sees another, as in FastChat, nothing is cut off and nothing is
padding. A step of 128 blocks therefore holds more conversations than FastChat's 128, and an
epoch has fewer steps.
"""

ALPACA: dict[str, Any] = {**VICUNA, "block": 512}
"""Taori et al. 2023: Alpaca 7B, from stanford_alpaca's README, "Fine-tuning".

- block, batch, epochs, learning_rate, weight_decay: its table for LLaMA-7B (512, 128, 3, 2e-5,
  0), and the command below it: 4 GPUs × 4 × 8 passes, `--num_train_epochs 3`,
  `--learning_rate 2e-5`, `--weight_decay 0.`. LLaMA-13B had 1e-5 and 5 epochs: write
  `{preset: alpaca, learning_rate: 1e-5, epochs: 5}`.
- warm-up and decay: `--warmup_ratio 0.03`, `--lr_scheduler_type "cosine"`.
- optimiser and length: `optim="adamw_torch"`, `model_max_length=512` in `train.py`; betas and
  clip are the defaults of transformers' TrainingArguments.

FastChat's training code was written from this one, hence the same fields. Alpaca gives each
instruction and its answer a row of its own, padded to the longest of a pass and cut at 512
tokens. Here they are packed whole and kept apart, as for Vicuna. Alpaca's examples are short,
so a step of 128 blocks holds several times the 128 examples of the source: for its number of
examples a step, divide `batch` by the examples that a block holds.
"""

PRESETS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "koala": KOALA,
    "vicuna": VICUNA,
    "alpaca": ALPACA,
}


def preset(name: str) -> dict[str, Any]:
    """The fields of a published recipe, a fresh dict; an unknown name is a SpecError."""
    if not isinstance(name, str) or name not in PRESETS:
        raise SpecError(f"There is no recipe {name!r}.", nearest(str(name), PRESETS))
    return dict(PRESETS[name])
