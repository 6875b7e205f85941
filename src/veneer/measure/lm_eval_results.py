"""Results in lm-eval's own format, so that tools which read lm-eval's files read ours.

results.json and samples_TASK.jsonl have the keys and shapes that lm-eval's EvaluationTracker
writes. What would differ from run to run or machine to machine (dates, times, folders, the
environment) stands there as a constant.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = "results.json"
_BY_TASK = ("results", "groups", "group_subtasks", "configs", "versions", "n-shot")
_MERGED = (*_BY_TASK, "higher_is_better", "n-samples", "samples")
_SORTED = ("configs", "versions", "n-shot", "higher_is_better")


@dataclass(frozen=True)
class ModelInfo:
    """What lm-eval's files say of a model.

    name: folder or id. parameters: how many. dtype: such as "torch.float32".
    tokenizer: whose special tokens are told; context: tokens.
    chat_template: the template that was applied, None where none was.
    """

    name: str
    parameters: int | None = None
    dtype: str = ""
    tokenizer: Any = None
    context: int | None = None
    chat_template: str | None = None
    multiturn: bool = False

    @classmethod
    def of(cls, model: Any, *, chat: bool = False, multiturn: bool = False) -> ModelInfo:
        """From a LocalModel, or whatever else can be asked."""
        tokenizer = getattr(model, "tokenizer", None)
        weights = getattr(model, "model", None)
        template = getattr(tokenizer, "chat_template", None) if chat else None
        return cls(
            name=str(model.name),
            parameters=getattr(model, "parameters", None),
            dtype=str(getattr(weights, "dtype", "")),
            tokenizer=tokenizer,
            context=getattr(model, "context", None),
            chat_template=template if isinstance(template, str) else None,
            multiturn=chat and multiturn,
        )


def merged(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What several calls of `lm_eval.evaluator.evaluate` returned, as one call would have."""
    whole = dict(before)
    for key in _MERGED:
        if key in before or key in more:
            both = {**before.get(key, {}), **more.get(key, {})}
            whole[key] = dict(sorted(both.items())) if key in _SORTED else both
    return whole


def with_standard_errors(found: dict[str, Any]) -> dict[str, Any]:
    """The results with the standard error of each mean over the items that have a value."""
    for task, samples in found["samples"].items():
        result = found["results"][task]
        for key in [key for key in result if "," in key and "_stderr," not in key]:
            metric, _, filtered = key.partition(",")
            values = [
                float(sample[metric])
                for sample in samples
                if sample["filter"] == filtered and metric in sample
            ]
            scored = [value for value in values if not math.isnan(value)]
            if len(scored) > 1:
                mean = sum(scored) / len(scored)
                variance = sum((value - mean) ** 2 for value in scored) / (len(scored) - 1)
                result[f"{metric}_stderr,{filtered}"] = math.sqrt(variance / len(scored))
    return found


def write_results(out: Path, found: Mapping[str, Any], model: ModelInfo, limit: Any = None) -> None:
    """Write results.json and a samples_TASK.jsonl a task into a folder.

    Args:
        found: as `lm_eval.evaluator.evaluate` returns it, or `Found.results`.
        limit: items a task, where that was limited.
    """
    out.mkdir(parents=True, exist_ok=True)
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = found.get("samples") or {}
    hashes = {
        task: _hash("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in rows))
        for task, rows in samples.items()
    }
    results = {key: found[key] for key in _MERGED if key in found and key != "samples"}
    if "configs" in results:
        results["configs"] = {task: _placeless(c) for task, c in results["configs"].items()}
    results |= {"config": _config(model, limit), **_environment(), **_tokenizer(model)}
    results |= {"task_hashes": hashes, **_identity(model)}
    (out / RESULTS).write_text(_json(results, indent=2), encoding="utf-8")
    for task, rows in samples.items():
        lines = [_json(_sample(row)) + "\n" for row in rows]
        (out / f"samples_{task}.jsonl").write_text("".join(lines), encoding="utf-8")


def join_results(folders: Sequence[Path], out: Path) -> None:
    """Put folders that `write_results` wrote for one model together, as one evaluation of all."""
    out.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {}
    for folder in folders:
        one = json.loads((folder / RESULTS).read_text("utf-8"))
        hashes = {**whole.get("task_hashes", {}), **one.get("task_hashes", {})}
        whole = {**one, **merged(whole, one), "task_hashes": hashes}
        for samples in sorted(folder.glob("samples_*.jsonl")):
            shutil.copyfile(samples, out / samples.name)
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    (out / RESULTS).write_text(text, encoding="utf-8")


def _json(value: Any, indent: int | None = None) -> str:
    """As lm-eval writes it, with "N/A" where a number is none."""
    settings: Any = {"indent": indent, "default": _plain, "ensure_ascii": False}
    try:
        return json.dumps(value, allow_nan=False, **settings)
    except ValueError:
        return json.dumps(_finite(value), **settings)


def _sample(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as lm-eval's tracker shapes it for `datasets`."""
    arguments = {
        f"gen_args_{i}": {f"arg_{j}": part for j, part in enumerate(given)}
        for i, given in enumerate(row["arguments"])
    }
    return {
        **row,
        "resps": _texts(row["resps"]),
        "filtered_resps": _texts(row["filtered_resps"]),
        "arguments": arguments,
        "target": str(row["target"]),
    }


def _config(model: ModelInfo, limit: Any) -> dict[str, Any]:
    return {
        "model": "veneer",
        "model_args": {"pretrained": model.name},
        "model_num_parameters": -1 if model.parameters is None else model.parameters,
        "model_dtype": model.dtype,
        "model_revision": "main",
        "model_sha": "",
        "batch_size": None,
        "batch_sizes": [],
        "device": None,
        "use_cache": None,
        "limit": limit,
        "bootstrap_iters": None,
        "gen_kwargs": None,
        "random_seed": 0,
        "numpy_seed": 1234,
        "torch_seed": 1234,
        "fewshot_seed": 1234,
    }


def _environment() -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "git_hash": None,
        "date": 0.0,
        "pretty_env_info": "",
        "transformers_version": version("transformers"),
        "lm_eval_version": version("lm_eval"),
        "upper_git_hash": None,
    }


def _tokenizer(model: ModelInfo) -> dict[str, Any]:
    tokenizer = model.tokenizer
    told = {
        f"tokenizer_{kind}_token": [
            getattr(tokenizer, f"{kind}_token", None),
            str(getattr(tokenizer, f"{kind}_token_id", None)),
        ]
        for kind in ("pad", "eos", "bos")
    }
    end = getattr(tokenizer, "eos_token_id", None)
    return {**told, "eot_token_id": end, "max_length": model.context}


def _identity(model: ModelInfo) -> dict[str, Any]:
    from lm_eval.utils import sanitize_model_name

    template = model.chat_template
    return {
        "model_source": "veneer",
        "model_name": model.name,
        "model_name_sanitized": sanitize_model_name(model.name),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": model.multiturn,
        "chat_template": template,
        "chat_template_sha": _hash(template) if template else None,
        "total_evaluation_time_seconds": "0",
    }


def _placeless(config: Mapping[str, Any]) -> dict[str, Any]:
    """A task's settings with file names in place of paths."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: short(one) for key, one in value.items()}
        if isinstance(value, list):
            return [short(one) for one in value]
        is_path = isinstance(value, str) and "\n" not in value and Path(value).is_absolute()
        return Path(value).name if is_path else value

    kept = dict(config)
    for key in ("dataset_kwargs", "metadata"):
        if key in kept:
            kept[key] = short(kept[key])
    return kept


def _texts(value: Any) -> Any:
    """Every inner value as text; lm-eval's `sanitize_list`."""
    if isinstance(value, list | tuple):
        return [_texts(one) for one in value]
    return str(value)


def _finite(value: Any) -> Any:
    """The value with "N/A" where a number is none, as lm-eval writes what it does not know."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "N/A"
    return value


def _plain(value: Any) -> Any:
    from lm_eval.utils import handle_non_serializable

    return handle_non_serializable(value)


def _hash(text: str) -> str:
    from lm_eval.utils import hash_string

    return str(hash_string(text))
