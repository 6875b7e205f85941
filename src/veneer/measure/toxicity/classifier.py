"""A Hugging Face sequence classifier on this machine as a toxicity scorer.

The score is the probability of one label: through a sigmoid where labels are independent
(`problem_type` "multi_label_classification", or a single label), else through a softmax, as
transformers' own text-classification pipeline decides. float32, batches of like length; a text
longer than the model reads is scored in windows that overlap by `STRIDE` tokens, and the highest
counts: one toxic passage makes a text toxic, and a mean over its windows would thin it out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.toxicity.scores import Progress, Score

TOXIC_LABELS = ("toxic", "toxicity", "hate", "hateful")
"""Names of the label that is meant where the settings name none, in this order."""
STRIDE = 64
TOKENS_AT_ONCE = 16_384
"""Of one batch, padding counted."""


class Classifier:
    """A classifier, loaded when it is made; call it as a `Scorer`.

    Args:
        model: a folder, or a hub id with its `revision`.
        revision: the commit of a hub id, 40 hex digits.
        label: the toxic label's name; "" finds it.
        device: "auto" takes a GPU where there is one.

    Attributes:
        longer: texts so far that did not fit the model and were scored in windows.
        label: the toxic label's name.

    Raises:
        InputError: no such model, one without a classification head, no label that is called
            toxic (lists the labels), or a hub id that is not pinned.
    """

    def __init__(
        self, model: str | Path, revision: str = "", label: str = "", device: str = "auto"
    ) -> None:
        import torch

        self._tokenizer, self._model = _loaded(str(model), revision)
        self._device = device
        if device == "auto":
            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device)
        config = self._model.config
        names = {int(place): str(name) for place, name in config.id2label.items()}
        self._place, self.label = _toxic_label(names, label, str(model))
        self._independent = _independent(config, str(model))
        self._limit = _limit(self._tokenizer, self._model)
        self.longer = 0

    def __call__(self, texts: Sequence[str], progress: Progress | None = None) -> list[Score]:
        """One score a text, in order; an empty text is 0."""
        said = [place for place, text in enumerate(texts) if text.strip()]
        found: list[list[float]] = [[] for _ in texts]
        windows, owners = self._windows([texts[place] for place in said])
        done = 0
        for batch in self._batches(windows):
            scores = self._probabilities([windows[i] for i in batch])
            for i, score in zip(batch, scores, strict=True):
                found[said[owners[i]]].append(score)
            done += len(batch)
            if progress is not None:
                progress(done * len(texts) // len(windows), len(texts))
        self.longer += sum(len(scores) > 1 for scores in found)
        return [_highest(scores) for scores in found]

    def _windows(self, texts: list[str]) -> tuple[list[list[int]], list[int]]:
        """Token ids of every window, and which text each is of."""
        if not texts:
            return [], []
        cut = self._tokenizer(
            texts,
            truncation=True,
            max_length=self._limit,
            stride=min(STRIDE, self._limit // 4),
            return_overflowing_tokens=True,
        )
        return list(cut["input_ids"]), [int(i) for i in cut["overflow_to_sample_mapping"]]

    def _batches(self, windows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Places of windows of like length, the longest first, `TOKENS_AT_ONCE` in a batch.

        One at a time where the tokenizer has no token to pad with.
        """
        pads = self._tokenizer.pad_token_id is not None
        order = sorted(range(len(windows)), key=lambda i: (-len(windows[i]), i))
        while order:
            count = max(1, TOKENS_AT_ONCE // max(1, len(windows[order[0]]))) if pads else 1
            yield order[:count]
            order = order[count:]

    def _probabilities(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """The toxic label's probability of every row."""
        import torch

        width, pad = max(map(len, rows)), self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
        seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            logits = self._model(
                input_ids=ids.to(self._device), attention_mask=seen.to(self._device)
            ).logits.double()
        chances = torch.sigmoid(logits) if self._independent else torch.softmax(logits, -1)
        return [float(value) for value in chances[:, self._place]]


def _highest(scores: Sequence[float]) -> Score:
    """A text's score from its windows'; 0 for a text without any."""
    if any(math.isnan(score) for score in scores):
        return Score(None, "the classifier gives no number for it")
    return Score(max(scores, default=0.0))


def _loaded(model: str, revision: str) -> tuple[Any, Any]:
    """Tokenizer and model in float32; from a folder nothing goes over the network."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as hugging_face_log

    local = Path(model).is_dir()
    if not local and not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(
            f"The classifier {model!r} is no folder, and no commit of a hub model is pinned"
            + (f" ({revision!r} is none)." if revision else "."),
            "Give a folder, or the hub id with revision: the commit, 40 hex digits (branches and "
            "tags can move).",
        )
    where: dict[str, Any] = {"local_files_only": True} if local else {"revision": revision}
    hugging_face_log.disable_progress_bar()
    loud = hugging_face_log.get_verbosity()
    hugging_face_log.set_verbosity_error()  # a head that is missing is said below
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(model, **where)
        found, about = AutoModelForSequenceClassification.from_pretrained(
            model, dtype=torch.float32, output_loading_info=True, **where
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"No sequence classifier can be loaded from {model!r}: {str(error).splitlines()[0]}",
            "Give a folder that holds config.json, weights and tokenizer, or a hub id.",
        ) from error
    finally:
        hugging_face_log.set_verbosity(loud)
    if lacking := sorted(about["missing_keys"]):
        raise InputError(
            f"{model!r} is no trained classifier: its weights lack {', '.join(lacking[:3])}.",
            "Give a model that was trained for sequence classification.",
        )
    if not tokenizer.is_fast:
        raise InputError(f"{model!r} has no fast tokenizer.", "Give a model with tokenizer.json.")
    if found.config.pad_token_id is None:  # decoder classifiers look for the last token by it
        found.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, found.eval()


def _toxic_label(names: dict[int, str], wanted: str, model: str) -> tuple[int, str]:
    """Place and name of the toxic label."""
    places: dict[str, int] = {}
    for place, name in sorted(names.items()):
        places.setdefault(name.casefold(), place)
    for name in [wanted] if wanted else TOXIC_LABELS:
        if (found := places.get(name.casefold())) is not None:
            return found, names[found]
    said = f"no label {wanted!r}" if wanted else "no label that is called toxic"
    raise InputError(
        f"The classifier {model!r} has {said}. Its labels: {', '.join(names.values())}.",
        "Name the toxic one as label.",
    )


def _independent(config: Any, model: str) -> bool:
    """Whether each label has a probability of its own (transformers' text-classification rule)."""
    if config.problem_type == "regression":
        raise InputError(
            f"{model!r} is a regression model: its outputs are no probabilities.",
            "Give a classifier.",
        )
    if config.problem_type is not None:
        return bool(config.problem_type == "multi_label_classification")
    return bool(config.num_labels == 1)


def _limit(tokenizer: Any, model: Any) -> int:
    """Tokens that the model reads at once, special ones counted.

    RoBERTa's positions begin after the padding index, so that many of them are never used.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            positions -= module.padding_idx + 1
    return int(min(positions, tokenizer.model_max_length))
