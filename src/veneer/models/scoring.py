"""Log-likelihoods of continuations, with every shared beginning computed once.

Five-shot questions of one subject share hundreds of tokens, and the four options of a question
share all but the last. Requests whose tokens are the beginning of another's ride along with
it; the rest are grouped where that saves most tokens, and the group's prefix is kept as a
key–value cache. Answers equal a plain forward pass of each request to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from transformers import PreTrainedModel

from veneer.models.cache import Batch, Prefix, is_plain, rows_that_fit

GROUP_COST = 32  # tokens that one more group must save, for the extra call it costs
BATCH_TOKENS = 8192


@dataclass
class Work:
    """Tokens run through the model, beside what one pass a request would have taken."""

    computed: int = 0
    naive: int = 0


@dataclass
class _Row:
    """A distinct input, and the requests it answers: (request, first logit, continuation)."""

    ids: tuple[int, ...]
    asks: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The earliest position whose logits are needed."""
        return min(ask[1] for ask in self.asks)


def loglikelihoods(
    model: PreTrainedModel,
    requests: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    context: int,
    batch_size: int = 64,
    work: Work | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[float, bool]]:
    """(sum of log-probabilities of the continuation, whether greedy decoding would say it).

    A request is (context ids, continuation ids), both at least one token; what exceeds the
    model's context loses its beginning.
    """
    work = work if work is not None else Work()
    rows = _rows(requests, context, work)
    plain = is_plain(model)
    groups = _grouped(rows) if plain else [(0, list(range(len(rows))))]
    answers: list[tuple[float, bool]] = [(0.0, True)] * len(requests)
    answered = 0
    for shared, members in groups:
        prefix = Prefix(model, rows[members[0]].ids[:shared]) if shared else None
        work.computed += shared
        members.sort(key=lambda i: (-len(rows[i].ids), rows[i].ids))
        at = 0
        while at < len(members):
            longest = len(rows[members[at]].ids)
            fitting = min(batch_size, max(1, BATCH_TOKENS // (longest - shared)))
            fitting = rows_that_fit(model, longest, fitting)
            batch = [rows[i] for i in members[at : at + fitting]]
            for request, answer in _scored(model, batch, shared, prefix):
                answers[request] = answer
                answered += 1
            work.computed += len(batch) * (longest - shared)
            at += len(batch)
            if progress:
                progress(answered, len(requests))
    return answers


def _rows(
    requests: Sequence[tuple[Sequence[int], Sequence[int]]], context: int, work: Work
) -> list[_Row]:
    """Distinct inputs in sorted order; one that begins another is answered by the longer."""
    asks: dict[tuple[int, ...], list[tuple[int, int, tuple[int, ...]]]] = {}
    for number, (before, continuation) in enumerate(requests):
        if not before or not continuation:
            raise ValueError("context and continuation need at least one token each")
        whole = [*before, *continuation][-(context + 1) :]
        said = tuple(continuation)[-(len(whole) - 1) :]
        ids = tuple(whole[:-1])
        asks.setdefault(ids, []).append((number, len(ids) - len(said), said))
        work.naive += len(ids)
    rows: list[_Row] = []
    for ids in sorted(asks, reverse=True):
        # Sorted downwards, an input comes right after the inputs that it begins.
        if rows and rows[-1].ids[: len(ids)] == ids:
            rows[-1].asks += asks[ids]
        else:
            rows.append(_Row(ids, asks[ids]))
    return rows


def _grouped(rows: Sequence[_Row]) -> list[tuple[int, list[int]]]:
    """(length of the shared prefix, rows): groups whose prefixes save many tokens.

    `rows` are sorted, so rows that share a prefix are neighbours. At every interval of rows that
    share more than its surroundings do (the nodes of their prefix tree) the choice is one group
    here or the best groups within; rows in no group go without a prefix.
    """
    links = [min(_common(a.ids, b.ids), a.first, b.first) for a, b in pairwise(rows)]
    # Each entry: shared length, first row, best saving of the parts so far, their groups.
    stack: list[list[Any]] = []
    best: list[tuple[int, int, int]] = []  # (shared, first, last)
    for at, link in enumerate([*links, -1]):
        first, saving = at, 0
        inner: list[tuple[int, int, int]] = []
        while stack and stack[-1][0] > link:
            shared, begin, parts, groups = stack.pop()
            parts, groups = parts + saving, groups + inner
            alone = (at - begin) * shared - GROUP_COST
            first = begin
            saving, inner = (alone, [(shared, begin, at)]) if alone > parts else (parts, groups)
        if stack and stack[-1][0] == link:
            stack[-1][2] += saving
            stack[-1][3] += inner
        elif link >= 0:
            stack.append([link, first, saving, inner])
        else:
            best = inner
    grouped = [(shared, list(range(first, last + 1))) for shared, first, last in best if shared]
    taken = {i for _, members in grouped for i in members}
    alone = [i for i in range(len(rows)) if i not in taken]
    return [*grouped, (0, alone)] if alone else grouped


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    length = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        length += 1
    return length


def _scored(
    model: PreTrainedModel, batch: Sequence[_Row], shared: int, prefix: Prefix | None
) -> list[tuple[int, tuple[float, bool]]]:
    keep = max(len(row.ids) - row.first for row in batch)
    run = Batch(model, [row.ids[shared:] for row in batch], room=0, keep=keep, prefix=prefix)
    where: list[int] = []
    columns: list[int] = []
    targets: list[int] = []
    owners: list[tuple[int, int]] = []
    for i, row in enumerate(batch):
        for number, first, said in row.asks:
            begin = keep - (len(row.ids) - first)
            where += [i] * len(said)
            columns += range(begin, begin + len(said))
            targets += said
            owners.append((number, len(said)))
    target = torch.tensor(targets, device=run.logits.device)
    logits = run.logits[where, columns].float()  # (asked tokens, V)
    chosen = logits.gather(1, target[:, None])[:, 0] - logits.logsumexp(dim=-1)
    chances = chosen.double().tolist()
    greedy = (logits.argmax(dim=-1) == target).tolist()
    scored, at = [], 0
    for number, count in owners:
        end = at + count
        scored.append((number, (sum(chances[at:end]), all(greedy[at:end]))))
        at = end
    return scored
