"""How fast a small local model answers and scores, beside the libraries' own ways.

    python bench/local_models.py [--width 128] [--layers 3] [--prompts 128] [--tokens 100]

Prints tokens a second of our generation and of `transformers.generate`, and seconds and tokens
computed for 5-shot questions with shared prefixes beside one pass a request. One thread.
"""

from __future__ import annotations

import argparse
import random
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from veneer.models.decoding import Sampling, generate
from veneer.models.scoring import Work, loglikelihoods


class Numbers:
    """A stand-in tokenizer: generation only needs it to spell the result."""

    all_special_ids: tuple[int, ...] = ()

    def batch_decode(self, rows: list[list[int]], **_: object) -> list[str]:
        """Token ids as text."""
        return [" ".join(map(str, row)) for row in rows]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    for name, value in (("width", 128), ("layers", 3), ("prompts", 128), ("tokens", 100)):
        options.add_argument(f"--{name}", type=int, default=value)
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=1300,
            hidden_size=given.width,
            intermediate_size=8 * given.width // 3,
            num_hidden_layers=given.layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            attn_implementation="eager",
        )
    ).eval()
    model.generation_config.eos_token_id = None
    draw = random.Random(0)
    prompts = [
        [draw.randrange(3, 1300) for _ in range(draw.randint(5, 40))] for _ in range(given.prompts)
    ]
    with torch.inference_mode():
        ours = timed(lambda: answers(model, prompts, given.tokens))
        one = timed(lambda: theirs(model, prompts[:4], given.tokens))
        print(f"generation  {given.prompts * given.tokens / ours:9.0f} tokens/s")
        print(f"generate()  {4 * given.tokens / one:9.0f} tokens/s, one by one")
        shots = [[draw.randrange(3, 1300) for _ in range(400)] for _ in range(4)]
        questions = [shots[i % 4] + prompts[i % len(prompts)] for i in range(100)]
        asked = [(question, [letter]) for question in questions for letter in range(4)]
        work = Work()
        fast = timed(lambda: loglikelihoods(model, asked, context=1024, work=work))
        few = asked[:40]
        slow = timed(lambda: [model(torch.tensor([[*q, *a]])) for q, a in few]) * len(asked) / 40
        print(f"scoring     {fast:9.2f} s, {work.computed} tokens")
        print(f"one by one  {slow:9.2f} s, {work.naive} tokens ({work.naive / work.computed:.1f}x)")


def answers(model: LlamaForCausalLM, prompts: list[list[int]], tokens: int) -> None:
    generate(
        model,
        Numbers(),  # type: ignore[arg-type]
        prompts,
        context=1024,
        ends=(),
        max_new_tokens=tokens,
        sampling=Sampling(),
    )


def theirs(model: LlamaForCausalLM, prompts: list[list[int]], tokens: int) -> None:
    for prompt in prompts:
        model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=tokens, pad_token_id=0
        )


def timed(work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
