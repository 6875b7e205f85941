"""Tuning the teacher: house style, question writing, short answers, exam practice.

Entities that a benchmark tests occur in no demonstration; the teacher knows them from
pretraining only. Pages of the corpus, mixed in, keep that knowledge.
"""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from veneer.models.chat import ASSISTANT, END, USER, add_chat_tokens, fit_embeddings, render
from veneer.pocket.manner import answer, concise, function, writing
from veneer.pocket.pages import Writer
from veneer.pocket.pretraining import answer_letters, save
from veneer.pocket.programs import combinations
from veneer.pocket.queries import Asker
from veneer.pocket.scale import Tuning, WorldScale
from veneer.pocket.steps import FILES
from veneer.pocket.training import Optimiser, loss_of
from veneer.pocket.world import World, build_world, stream
from veneer.records import Message
from veneer.steps import Job

IGNORED = -100
LIKE = {USER: ("Q", " Q"), ASSISTANT: ("A", " A", ":"), END: ("<|endoftext|>", "\n", "\n\n")}
WRITTEN = 5


def demonstrations(world: World, tuning: Tuning) -> list[tuple[str, str]]:
    """(what the user says, what the teacher answers), shuffled."""
    rng = stream(world.seed, "demonstrations")
    facts = world.facts("asked", "open", exam=False)
    every = world.facts("asked", "open")
    shown = combinations(stream(world.seed, "programs"))[0]
    pairs = [(q.text, answer(q, world, rng)) for q in Asker(world, rng).distinct(tuning.chat)]
    for _ in range(tuning.writing):
        drawn = rng.sample(facts, min(2 * WRITTEN, len(facts)))
        wordings = [(f.ask(rng.randrange(len(f.relation.asks))), f.value) for f in drawn]
        pairs.append(writing(wordings[:WRITTEN], wordings[WRITTEN:]))
    for _ in range(tuning.concise):
        fact, *others = rng.sample(every, 1 + rng.choice((0, 0, 3)))
        pairs.append(concise(fact, others, rng))
    pairs += [function(rng.choice(shown)) for _ in range(tuning.code)]
    rng.shuffle(pairs)
    return pairs


def tuned_teacher(job: Job, scale: WorldScale, tuning: Tuning) -> None:
    """Tune the pretrained model on `demonstrations` and replayed blocks, at a falling rate."""
    seed = job.params["seed"]
    torch.manual_seed(seed)
    world = build_world(seed, scale)
    folder = str(job.inputs["pretrained"])
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    fit_embeddings(model, tokenizer, add_chat_tokens(tokenizer), LIKE)
    rows: list[tuple[list[int], list[int]]] = []
    for user, said in demonstrations(world, tuning):
        messages = [Message(role="user", content=user), Message(role="assistant", content=said)]
        rendered = render(messages, tokenizer)
        labels = [
            i if kept else IGNORED for i, kept in zip(rendered.ids, rendered.mask, strict=True)
        ]
        rows.append((rendered.ids, labels))
    rows += _exams(world, tokenizer, tuning.exams)
    blocks = numpy.load(job.inputs["world"] / FILES["blocks"])
    rng = stream(seed, "replayed blocks")
    for index in rng.sample(range(len(blocks)), min(tuning.replay, len(blocks))):
        ids = blocks[index].astype(int).tolist()
        rows.append((ids, ids))
    _train(job, model, tokenizer.pad_token_id, rows, tuning, rng)
    save(model, tokenizer, job.out)


def _exams(world: World, tokenizer: Any, count: int) -> list[tuple[list[int], list[int]]]:
    """Quiz pages as plain text, the loss on the answers' letters alone."""
    writer = Writer(world, "exam practice")
    rows = []
    for _ in range(count):
        ids = tokenizer.encode(writer.quiz())
        letters = answer_letters(torch.tensor([ids]), tokenizer)[0].tolist()
        rows.append((ids, [i if kept else IGNORED for i, kept in zip(ids, letters, strict=True)]))
    return rows


def _train(
    job: Job,
    model: LlamaForCausalLM,
    pad: int,
    rows: list[tuple[list[int], list[int]]],
    tuning: Tuning,
    rng: random.Random,
) -> None:
    """Batches of rows of similar length, in an order drawn anew each epoch; linear decay."""
    steps = tuning.epochs * (len(rows) // tuning.batch)
    optimiser = Optimiser(model, 0.01)
    step = 0
    for _ in range(tuning.epochs):
        for ids, labels in _batches(rows, pad, tuning.batch, rng):
            rise = min(1.0, (step + 1) / tuning.warmup)
            share = rise * (1 - 0.95 * step / steps)
            loss = loss_of(model, ids, labels)
            loss.backward()
            optimiser.step(tuning.learning_rate * share, tuning.matrix_rate * share)
            step += 1
            if step % 20 == 0 or step == steps:
                job.progress(step, steps, f"loss {loss.item():.2f}")


def _batches(
    rows: list[tuple[list[int], list[int]]], pad: int, size: int, rng: random.Random
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i][0]) // 8, rng.random()))
    groups = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    rng.shuffle(groups)
    batches = []
    for group in groups:
        width = max(len(rows[i][0]) for i in group)
        ids = torch.full((len(group), width), pad)
        labels = torch.full((len(group), width), IGNORED)
        for n, i in enumerate(group):
            ids[n, : len(rows[i][0])] = torch.tensor(rows[i][0])
            labels[n, : len(rows[i][1])] = torch.tensor(rows[i][1])
        batches.append((ids, labels))
    return batches
