"""Log-likelihoods of continuations, with every shared beginning computed once.

Five-shot questions of one subject share hundreds of tokens, and the four options of a question
share all but the last. So the requests' tokens are a tree, and every token of the tree goes
through the model once: depth first, in pieces of one row each, where a token sees its own
ancestors only.

    requests   a b c d      tree   a ─ b ─ c ─ d        piece   a b c d e f g
               a b e f             │   └─ e ─ f         g sees  a           g
               a g                 └─ g

What a piece still needs of those before it (the ancestors of its first token) stays in the
key–value cache. Nothing is padded, and the head is computed only where a token is asked for.
Answers equal a plain forward pass of each request to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedModel

from veneer.models.cache import Batch, Walk, is_plain, rows_that_fit

PIECE = 512  # tokens a pass on a CPU; each of them costs as many columns of attention
PIECE_ON_GPU = 2048
BATCH_TOKENS = 8192  # a pass of models whose attention knows no tree


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

    Args:
        batch_size: rows a pass, of models whose attention knows no tree (sliding windows, …).
        progress: called with (requests answered, requests) after every pass.
    """
    work = work if work is not None else Work()
    rows = _rows(requests, context, work)
    chances, greedy = np.zeros(len(requests)), np.ones(len(requests), dtype=bool)
    unsaid = np.zeros(len(requests), dtype=np.int64)  # tokens that are still to be scored
    for row in rows:
        for request, _, said in row.asks:
            unsaid[request] = len(said)
    passes = _pieces(model, rows) if is_plain(model) else _batches(model, rows, batch_size)
    for tokens, logits, asked in passes:
        work.computed += tokens
        requested = asked[:, 1]
        place = torch.from_numpy(asked[:, 0]).to(logits.device)
        token = torch.from_numpy(asked[:, 2]).to(logits.device)
        logits = logits.float()
        found = (logits[place, token] - logits.logsumexp(dim=-1)[place]).double()
        np.add.at(chances, requested, found.cpu().numpy())
        right = logits.argmax(dim=-1)[place] == token
        np.logical_and.at(greedy, requested, right.cpu().numpy())
        np.subtract.at(unsaid, requested, 1)
        if progress:
            progress(int((unsaid == 0).sum()), len(requests))
    return list(zip(chances.tolist(), greedy.tolist(), strict=True))


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


# Both ways yield (tokens run, logits (P, V) of the places asked for, and what was asked there:
# (A, 3) place, request, token id; a request's tokens come in their order).
_Passes = Iterator[tuple[int, torch.Tensor, np.ndarray]]


# ---- a tree of tokens, where attention is plain ------------------------------------------------

_Path = list[tuple[int, int]]
"""Ancestors from the root down, as ranges (from, to) of token numbers."""


@dataclass(frozen=True)
class _Tree:
    """Every distinct beginning of a row is one token here, numbered depth first.

    ids, depths: (T,). branches: each one's first token and the path to it; the other tokens of a
    branch follow upon the one before. asked: (A, 3), token whose logits are asked for, request,
    token id, in the order of the first.
    """

    ids: np.ndarray
    depths: np.ndarray
    branches: list[tuple[int, _Path]]
    asked: np.ndarray


def _tree(rows: Sequence[_Row]) -> _Tree:
    ids: list[int] = []
    depths: list[np.ndarray] = []
    branches: list[tuple[int, _Path]] = []
    asked: list[tuple[int, int, int]] = []
    path: _Path = []  # to the end of the row before
    last: tuple[int, ...] = ()
    for row in rows:
        shared = _common(last, row.ids)
        path, begin = _first(path, shared), len(ids)
        branches.append((begin, path))
        ids += row.ids[shared:]
        depths.append(np.arange(shared, len(row.ids)))
        path, last = [*path, (begin, len(ids))], row.ids
        numbers = _numbers(path)
        for request, first, said in row.asks:
            places = numbers[first : first + len(said)].tolist()
            asked += [(at, request, token) for at, token in zip(places, said, strict=True)]
    table = np.array(asked, dtype=np.int64)
    order = np.argsort(table[:, 0], kind="stable")
    return _Tree(np.array(ids), np.concatenate(depths), branches, table[order])


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How many tokens two inputs begin with alike."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _first(path: _Path, count: int) -> _Path:
    """The first `count` tokens of a path."""
    kept = []
    for begin, end in path:
        if count > 0:
            kept.append((begin, min(end, begin + count)))
        count -= end - begin
    return kept


def _numbers(path: _Path) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *(np.arange(*span) for span in path)])


def _pieces(model: PreTrainedModel, rows: Sequence[_Row]) -> _Passes:
    tree = _tree(rows)
    size = PIECE if model.device.type == "cpu" else PIECE_ON_GPU
    walk = Walk(model, max(len(row.ids) for row in rows) + size)
    starts = np.array([begin for begin, _ in tree.branches])
    held = np.empty(0, dtype=np.int64)  # numbers of the tokens in the cache's columns
    for begin in range(0, len(tree.ids), size):
        end = min(begin + size, len(tree.ids))
        first, last = np.searchsorted(starts, [begin, end - 1], side="right") - 1
        branches = tree.branches[first : last + 1]
        above = _numbers(_above(branches[0], begin))
        walk.keep(np.searchsorted(held, above))
        held = np.concatenate([above, np.arange(begin, end)])
        low, high = np.searchsorted(tree.asked[:, 0], [begin, end])
        asked = tree.asked[low:high].copy()
        places, asked[:, 0] = np.unique(asked[:, 0] - begin, return_inverse=True)
        logits = walk.run(
            tree.ids[begin:end], tree.depths[begin:end], _seen(branches, held, begin, end), places
        )
        yield end - begin, logits, asked


def _above(branch: tuple[int, _Path], token: int) -> _Path:
    """The path to a token of a branch."""
    begin, path = branch
    return [*path, (begin, token)] if token > begin else path


def _seen(branches: list[tuple[int, _Path]], held: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Which columns each token of a piece sees, (tokens, columns): its ancestors and itself."""
    seen = np.zeros((end - begin, len(held)), dtype=bool)
    over = [first for first, _ in branches[1:]] + [end]
    for branch, to in zip(branches, over, strict=True):
        at = max(branch[0], begin)
        own = slice(at - begin, to - begin)
        for span in _above(branch, at):
            low, high = np.searchsorted(held, span)
            seen[own, low:high] = True
        column = len(held) - (end - at)
        seen[own, column : column + to - at] = np.tri(to - at, dtype=bool)
    return seen


# ---- rows beside each other, where it is not ---------------------------------------------------


def _batches(model: PreTrainedModel, rows: Sequence[_Row], batch_size: int) -> _Passes:
    order = sorted(rows, key=lambda row: (-len(row.ids), row.ids))
    at = 0
    while at < len(order):
        longest = len(order[at].ids)
        fitting = min(batch_size, max(1, BATCH_TOKENS // longest))
        batch = order[at : at + rows_that_fit(model, longest, fitting)]
        keep = max(len(row.ids) - row.first for row in batch)
        run = Batch(model, [row.ids for row in batch], room=0, keep=keep)
        asked = [
            (i * keep + keep - (len(row.ids) - first) + t, request, token)
            for i, row in enumerate(batch)
            for request, first, said in row.asks
            for t, token in enumerate(said)
        ]
        yield len(batch) * longest, run.logits.flatten(0, 1), np.array(asked, dtype=np.int64)
        at += len(batch)
