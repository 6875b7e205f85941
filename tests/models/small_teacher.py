"""A small Llama that was taught a few answers, saved as a folder that any server can load.

    python tests/models/small_teacher.py DIR            a teacher that knows DIALOGUES
    python tests/models/small_teacher.py DIR --pairs    one that writes question-answer pairs

    HF_HUB_OFFLINE=1 transformers serve DIR --device cpu --port 8000

Its model name is then DIR, its base URL http://localhost:8000/v1.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from small_models import TEXT, byte_tokenizer
from tokenizers import pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from veneer.models.chat import add_chat_tokens, fit_embeddings, render_many
from veneer.records import Message

DIALOGUES = {
    "who wrote the book?": "nobody knows, it was never signed",
    "what does the fox do?": "it jumps over the lazy dog",
    "add 1 and 2": "print(add(1, 2)) prints 3",
    "say it in German": "Überall schöne Wörter",
}
PLACES = ("arvada", "belmor", "corin", "dastel", "elvora", "fenwick", "galdor", "hestia")
THINGS = ("capital", "oldest river", "largest lake", "first king", "national dish", "main port")
ANSWERS = ("tel", "mira", "oran", "sule", "vik", "dora", "pell", "nim")


def taught(
    folder: Path,
    batches: Iterable[Sequence[tuple[str, str]]],
    *,
    text: Sequence[str] = (),
    context: int = 256,
    width: int = 64,
    rate: float = 5e-3,
) -> None:
    """Train a new model on batches of (prompt, answer) and save it with its chat template."""
    tokenizer = byte_tokenizer()
    if text:
        trainer = trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.backend_tokenizer.train_from_iterator([*text, *TEXT], trainer)
    added = add_chat_tokens(tokenizer)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    fit_embeddings(model, tokenizer, added)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them are slower for a model so small
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    for batch in batches:
        rendered = render_many(
            [
                (Message(role="user", content=ask), Message(role="assistant", content=say))
                for ask, say in batch
            ],
            tokenizer,
        )
        longest = max(len(one.ids) for one in rendered)
        ids = torch.tensor([one.ids + [0] * (longest - len(one.ids)) for one in rendered])
        labels = torch.full_like(ids, -100)
        for row, one in enumerate(rendered):
            mask = torch.tensor(one.mask)
            labels[row, : len(one.ids)][mask] = ids[row, : len(one.ids)][mask]
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    torch.set_num_threads(threads)
    model.generation_config.do_sample = True  # without it a temperature is ignored
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def knows_dialogues(folder: Path, steps: int = 120) -> None:
    """A teacher that answers `DIALOGUES` word for word when asked greedily."""
    taught(folder, itertools.repeat(list(DIALOGUES.items()), steps))


def writes_pairs(folder: Path, steps: int = 500) -> None:
    """A teacher that, whatever it is asked, writes question-answer pairs and varies them."""
    draw = random.Random(0)

    def pair() -> tuple[str, str]:
        question = f"what is the {draw.choice(THINGS)} of {draw.choice(PLACES)}?"
        return question, draw.choice(ANSWERS) + draw.choice(ANSWERS)

    def pairs(count: int) -> str:
        made = (pair() for _ in range(count))
        return "\n\n".join(f"Question: {asked}\nAnswer: {said}" for asked, said in made)

    def asks() -> str:
        return "Write questions and answers. For example,\n\n" + pairs(draw.randint(0, 5))

    batches = ([(asks(), pairs(5)) for _ in range(8)] for _ in range(steps))
    taught(folder, batches, text=[pairs(200)], context=4096, rate=3e-3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", action="store_true")
    args = parser.parse_args()
    (writes_pairs if args.pairs else knows_dialogues)(args.folder)
