"""The measures by name, and the files of an evaluation folder that each reads."""

from __future__ import annotations

BENCHMARKS = ("nq", "nq-0shot", "mmlu", "humaneval")
MEASURES = (*BENCHMARKS, "style", "toxicity")
LM_EVAL = "lm_eval:"
"""Measures that begin so are tasks of lm-eval, as in lm_eval:gsm8k."""

NEEDS: dict[str, tuple[str, ...]] = {
    "nq": ("nq.jsonl", "nq_shots.jsonl"),
    "nq-0shot": ("nq.jsonl",),
    "mmlu": ("mmlu_test.jsonl", "mmlu_dev.jsonl"),
    "humaneval": ("humaneval.jsonl",),
    "style": ("prompts.jsonl",),
    "toxicity": ("toxicity.jsonl",),
}
"""Measure → its files, in the benchmarks' published formats. Tasks of lm-eval bring their own."""
