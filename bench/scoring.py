"""5-shot MMLU through lm-eval: our scorer beside lm-eval's own Hugging Face backend.

    python bench/scoring.py [DATA] [--sizes 1M 10M 100M] [--questions 300 200 100] [--rounds 3]

DATA is a folder with mmlu_dev.jsonl.gz and mmlu_test_19subjects.jsonl.gz. Both sides run our task
`veneer_mmlu` through `lm_eval.evaluator.evaluate`, on the same Llama-shaped model of random
weights, in the same fp32 and with all cores; the tokenizer is a BPE of 8,192 tokens trained on the
questions, so that prompts have realistic lengths. Questions are the first of each subject, 50 a
subject (real subjects have 246 on average, which share more), subjects of middle length first.

lm-eval answers the four letters of a question from one pass, ours too; what ours saves is the
shots. lm-eval gets the fastest of several batch sizes, tried on 8 questions beforehand. Seconds
are of whole evaluations (requests built, tokenised, scored, aggregated), models loaded and
warmed up before; rounds in turn, medians. Tokens are what went through the model, padding
included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from veneer.measure import mmlu
from veneer.measure.benchmarks.own import TASKS
from veneer.measure.benchmarks.quiet import quiet
from veneer.measure.harness import Harness
from veneer.measure.items import Item, read_items
from veneer.models.local import LocalModel

VOCABULARY = 8192
SHAPES = {"1M": (96, 2), "10M": (256, 10), "100M": (768, 13)}  # width, layers
QUESTIONS = {"1M": 300, "10M": 200, "100M": 100}
PER_SUBJECT = 50
BATCHES = (1, 4, 16)
CONTEXT = 4096  # nothing is cut, so that both sides read the same


def chosen(items: list[Item], count: int) -> list[Item]:
    """The first questions of the subjects nearest to the middle in length."""
    subjects: dict[str, list[Item]] = {}
    for item in items:
        subjects.setdefault(item["subject"], []).append(item)
    length = {
        name: statistics.mean(len(mmlu.question(item)) for item in rows)
        for name, rows in subjects.items()
    }
    middle = statistics.median(length.values())
    order = sorted(subjects, key=lambda name: (abs(length[name] - middle), name))
    return [item for name in order for item in subjects[name][:PER_SUBJECT]][:count]


def make_tokenizer(folder: Path, items: list[Item]) -> None:
    """A byte-level BPE trained on the questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((mmlu.question(item) for item in items), trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", model_max_length=CONTEXT
    ).save_pretrained(folder)


def make_model(folder: Path, width: int, layers: int) -> int:
    """A Llama of random weights; returns its parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            intermediate_size=8 * width // 3,
            num_hidden_layers=layers,
            num_attention_heads=max(2, width // 64),
            num_key_value_heads=max(2, width // 64),
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    model.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


class Side:
    """One way to score: its lm-eval model, and the tokens that went through it."""

    def __init__(self, name: str, lm: Any, tokens: Any) -> None:
        self.name, self.lm, self.tokens = name, lm, tokens

    def run(self, items: Path, shots: Path) -> tuple[float, int, list[float]]:
        """Seconds, tokens, and the log-probability of every option."""
        from lm_eval.evaluator import evaluate
        from lm_eval.tasks import TaskManager

        with quiet():
            manager = TaskManager(include_path=str(TASKS), include_defaults=False)
            files = {"items": str(items), "shots": str(shots)}
            member = {"task": "veneer_mmlu", "dataset_kwargs": files}
            tasks = manager.load([{"group": "bench", "task": [member]}])["tasks"]
            before, began = self.tokens(), time.perf_counter()
            found = evaluate(self.lm, {"tasks": tasks}, bootstrap_iters=0, log_samples=True)
            seconds = time.perf_counter() - began
        assert found is not None
        samples = sorted(found["samples"]["veneer_mmlu"], key=lambda sample: sample["doc_id"])
        chances = [float(option[0]) for one in samples for option in one["filtered_resps"]]
        return seconds, self.tokens() - before, chances


def sides(folder: Path) -> tuple[Side, Any, Any]:
    """Ours; and of lm-eval's backend, how to make one with a batch size, and its token count."""
    from lm_eval.models.huggingface import HFLM

    count = {"tokens": 0}

    class Counting(HFLM):
        def _model_call(self, inps: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
            count["tokens"] += inps.numel()
            return super()._model_call(inps, *rest, **more)

    local = LocalModel.load(folder, device="cpu")
    theirs = Counting(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1)

    def with_batch(size: int) -> Side:
        theirs.batch_size_per_gpu = size
        return Side(f"lm-eval, batch {size}", theirs, lambda: count["tokens"])

    return Side("veneer", Harness(local), lambda: local.work.computed), with_batch, count


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data/benchmarks"))
    parser.add_argument("--sizes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--questions", nargs="+", type=int, help="one number a size")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    counts = args.questions or [QUESTIONS[size] for size in args.sizes]
    items = read_items(args.data / "mmlu_test_19subjects.jsonl.gz", mmlu.FIELDS)
    shots = args.data / "mmlu_dev.jsonl.gz"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, fp32")
    with tempfile.TemporaryDirectory() as scratch:
        for size, count in zip(args.sizes, counts, strict=True):
            folder = Path(scratch) / size
            make_tokenizer(folder, [*items, *read_items(shots, mmlu.FIELDS)])
            parameters = make_model(folder, *SHAPES[size])
            asked, few = Path(scratch) / "asked.jsonl", Path(scratch) / "few.jsonl"
            write(asked, chosen(items, count))
            write(few, chosen(items, count)[:: max(1, count // 8)])
            compare(folder, asked, few, shots, args.rounds, f"{parameters / 1e6:.1f}M, {count} q.")


def write(path: Path, items: list[Item]) -> None:
    """Items as JSON lines."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")


def compare(folder: Path, asked: Path, few: Path, shots: Path, rounds: int, title: str) -> None:
    """Both sides in turn, and one line each."""
    ours, with_batch, _ = sides(folder)
    ours.run(few, shots)
    tried = {size: with_batch(size).run(few, shots)[0] for size in BATCHES}
    theirs = with_batch(min(tried, key=lambda size: tried[size]))
    runs = [(theirs.run(asked, shots), ours.run(asked, shots)) for _ in range(rounds)]
    gap = max(abs(a - b) for (_, _, x), (_, _, y) in runs for a, b in zip(x, y, strict=True))
    slow, fast = (statistics.median(run[i][0] for run in runs) for i in (0, 1))
    for name, seconds, tokens in (
        (theirs.name, slow, runs[0][0][1]),
        (ours.name, fast, runs[0][1][1]),
    ):
        print(f"{title:16s} {name:18s} {seconds:8.2f} s {tokens:9d} tokens", flush=True)
    ratio = statistics.median(a[0] / b[0] for a, b in runs)
    fewer = runs[0][0][1] / runs[0][1][1]
    print(
        f"{title:16s} {ratio:.1f} times as fast, {fewer:.1f} times fewer tokens, "
        f"largest difference {gap:.1e}",
        flush=True,
    )


if __name__ == "__main__":
    main()
