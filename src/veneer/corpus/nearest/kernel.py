"""The search: for each query the references that can matter, and their exact BLEU.

A sentence BLEU of a query of L tokens (L - n + 1 n-grams of order n, N = min(4, L) orders) and a
reference of R tokens rests on the clipped matches c1..c4:

    BLEU = 100 exp(min(0, 1 - R/L)) (p1 ... pN)^(1/N),
    pn = cn / (L - n + 1), or 1 / (2^k (L - n + 1)) for the k-th order without a match,

and is 0 where c1 = 0 (sacrebleu 2, `BLEU.compute_bleu`: exponential smoothing, effective order).

BLEU never falls when one cn grows: from 0 to 1 pn rises from 1/2^k to 1, and later orders without
a match are halved once less. So putting upper bounds for unknown counts gives an upper bound of
BLEU. Used here: c1 <= min(R, shared tokens of the query); and no bigram in common means
c2 = c3 = c4 = 0.

Per query, the inverted lists of its 4-, 3- and 2-grams give the exact c2..c4 of all references
that share a bigram. Those whose bound reaches the best BLEU so far, the highest bound first, get
c1 counted and are scored. Only if a reference without a common bigram could still reach the best
are the lists of single tokens read. Nothing is skipped but what is below by more than `SLACK`.
"""

from __future__ import annotations

import math

import numpy as np

from veneer.corpus.nearest.compiled import compiled
from veneer.corpus.nearest.scores import SAME

SLACK = 1e-7
"""Relative allowance for rounding in the bounds' logarithms."""

BITS = 21
MASK = (1 << BITS) - 1


@compiled
def _score(length, reference, c1, c2, c3, c4):
    """Sentence BLEU in sacrebleu's order of operations, but never the 100.00000000000004 of its
    rounding.
    """
    if c1 == 0:
        return 0.0
    total = 0.0
    smooth = 1.0
    orders = min(4, length)
    for n in range(orders):
        matched = c1 if n == 0 else c2 if n == 1 else c3 if n == 2 else c4
        if matched == 0:
            smooth *= 2.0
            total += math.log(100.0 / (smooth * (length - n)))
        else:
            total += math.log(100.0 * matched / (length - n))
    brevity = math.exp(1.0 - reference / length) if length < reference else 1.0
    return min(100.0, brevity * math.exp(total / orders))


@compiled
def _bound(logs, length, reference, c1, packed):
    """Logarithm of BLEU / 100 without the constant -log of the totals, times the orders."""
    c2, c3, c4 = packed & MASK, (packed >> BITS) & MASK, packed >> (2 * BITS)
    orders = min(4, length)
    total = logs[c1]
    halved = 0
    if orders > 1:
        if c2 == 0:
            halved += 1
        total += logs[c2] - halved * logs[2]
    if orders > 2:
        if c3 == 0:
            halved += 1
            total -= halved * logs[2]
        else:
            total += logs[c3]
    if orders > 3:
        if c4 == 0:
            halved += 1
            total -= halved * logs[2]
        else:
            total += logs[c4]
    if length < reference:
        total += orders * (1.0 - reference / length)
    return total


@compiled
def search(low, high, first, alike, lengths, references, orders, logs, threshold):
    """Nearest reference of queries low..high-1, or, with a threshold, all those above it.

    first: number of the text that query 0 is. alike: references and queries are the same texts.
    orders: fields of `Lists`, orders 1 to 4. logs: logarithms of 0 (as 0), 1, ..., longest.
    threshold: BLEU 0-100, or -1 for the nearest.
    Returns (bleu, index) with a value per query, then (query, reference, bleu) per pair above.
    """
    nearest = threshold < 0
    bleu = np.zeros(high - low)
    index = np.full(high - low, -1)
    pairs = 0
    pair_query, pair_reference, pair_bleu = (
        np.empty(64, np.int64),
        np.empty(64, np.int64),
        np.empty(64),
    )
    begins1, ids1, counts1, starts1, texts1, times1 = orders[0]
    mine = np.zeros(len(starts1), np.int32)  # the query's count of each token
    packed = np.zeros(references, np.int64)  # c2, c3, c4 of each reference
    single = np.zeros(references, np.int32)  # c1
    met = np.empty(references, np.int32)
    bounds = np.empty(references)
    close = np.empty(references + 1, np.int64)
    close_bleu = np.empty(references + 1)
    for query in range(low, high):
        text = first + query
        length = lengths[text]
        if length == 0:
            continue
        found = 0
        for n in range(3, 0, -1):
            begins, ids, counts, starts, texts, times = orders[n]
            for entry in range(begins[text], begins[text + 1]):
                count = counts[entry]
                for at in range(starts[ids[entry]], starts[ids[entry] + 1]):
                    reference = texts[at]
                    if packed[reference] == 0:
                        met[found] = reference
                        found += 1
                    packed[reference] += np.int64(min(count, times[at])) << (BITS * (n - 1))
        most = np.int64(0)  # upper bound of c1
        for entry in range(begins1[text], begins1[text + 1]):
            mine[ids1[entry]] = counts1[entry]
            most += counts1[entry]
        constant = 0.0
        for n in range(min(4, length)):
            constant += logs[length - n]
        best = 0.0 if nearest else threshold
        kept = 0
        other = 1 if alike and query == 0 else 0
        if other < references:
            close[0] = other
            close_bleu[0] = 0.0
            kept = 1
        cut = _cut_of(best, length, constant)
        top = -1
        for k in range(found):
            reference = met[k]
            size = lengths[reference]
            bounds[k] = _bound(logs, length, size, min(most, size), packed[reference])
            if alike and reference == query:
                bounds[k] = -np.inf
            elif top < 0 or bounds[k] > bounds[top]:
                top = k
        singles = 0
        for step in range(-1, found):
            k = top if step < 0 else step
            if k < 0 or (step >= 0 and k == top) or bounds[k] < cut or bounds[k] == -np.inf:
                continue
            reference = met[k]
            c1 = 0
            for entry in range(begins1[reference], begins1[reference + 1]):
                c1 += min(counts1[entry], mine[ids1[entry]])
            c234 = packed[reference]
            score = _score(
                length,
                lengths[reference],
                c1,
                c234 & MASK,
                (c234 >> BITS) & MASK,
                c234 >> (2 * BITS),
            )
            if nearest:
                if score >= best - SAME:
                    close[kept], close_bleu[kept] = reference, score
                    kept += 1
                    if score > best:
                        best = score
                        cut = _cut_of(best, length, constant)
            elif score > threshold + SAME:
                if pairs == len(pair_query):
                    pair_query, pair_reference, pair_bleu = _doubled(
                        pair_query, pair_reference, pair_bleu
                    )
                pair_query[pairs], pair_reference[pairs], pair_bleu[pairs] = query, reference, score
                pairs += 1
        if most > 0 and _bound(logs, length, length, most, np.int64(0)) >= cut:
            for entry in range(begins1[text], begins1[text + 1]):
                count = counts1[entry]
                for at in range(starts1[ids1[entry]], starts1[ids1[entry] + 1]):
                    reference = texts1[at]
                    if packed[reference] == 0:
                        if single[reference] == 0:
                            bounds[singles] = reference
                            singles += 1
                        single[reference] += min(count, times1[at])
            for k in range(singles):
                reference = np.int64(bounds[k])
                c1 = single[reference]
                single[reference] = 0
                size = lengths[reference]
                if alike and reference == query:
                    continue
                if _bound(logs, length, size, c1, np.int64(0)) < cut:
                    continue
                score = _score(length, size, c1, 0, 0, 0)
                if nearest:
                    if score >= best - SAME:
                        close[kept], close_bleu[kept] = reference, score
                        kept += 1
                        if score > best:
                            best = score
                            cut = _cut_of(best, length, constant)
                elif score > threshold + SAME:
                    if pairs == len(pair_query):
                        pair_query, pair_reference, pair_bleu = _doubled(
                            pair_query, pair_reference, pair_bleu
                        )
                    pair_query[pairs], pair_reference[pairs], pair_bleu[pairs] = (
                        query,
                        reference,
                        score,
                    )
                    pairs += 1
        for k in range(found):
            packed[met[k]] = 0
        for entry in range(begins1[text], begins1[text + 1]):
            mine[ids1[entry]] = 0
        if nearest:
            bleu[query - low] = best
            for k in range(kept):
                if close_bleu[k] >= best - SAME and (
                    index[query - low] < 0 or close[k] < index[query - low]
                ):
                    index[query - low] = close[k]
    return bleu, index, pair_query[:pairs], pair_reference[:pairs], pair_bleu[:pairs]


@compiled
def _cut_of(best, length, constant):
    """What `_bound` must reach so that BLEU can come up to `best`."""
    least = best - 2 * SAME
    if least <= 0:
        return -np.inf
    return min(4, length) * math.log(least / 100.0) + constant - SLACK


@compiled
def _doubled(queries, references, scores):
    return (
        np.concatenate((queries, queries)),
        np.concatenate((references, references)),
        np.concatenate((scores, scores)),
    )
