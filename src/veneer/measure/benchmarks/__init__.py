"""Benchmarks through lm-eval: the paper's protocols over local files, and any task by name.

nq          Natural Questions, 3-shot         plain text for every model, as in the paper
nq-0shot    Natural Questions, 0-shot         in the model's own template if it is a chat model
mmlu        MMLU, 5-shot                      plain text
humaneval   HumanEval, 0-shot                 in the model's own template if it is a chat model
lm_eval:X   X of lm-eval, or of your tasks    plain text, as lm-eval does, unless `chat` is set
"""

from veneer.measure.benchmarks.own import BENCHMARKS, Benchmark
from veneer.measure.benchmarks.running import Found, Options, run_benchmarks
from veneer.measure.benchmarks.texts import item_texts

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Found",
    "Options",
    "item_texts",
    "run_benchmarks",
]
