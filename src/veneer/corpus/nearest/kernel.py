"""The search: for each query the references that can matter, and their exact BLEU.

A sentence BLEU of a query of L tokens (L - n + 1 n-grams of order n, N = min(4, L) orders) and a
reference of R tokens rests on the clipped matches c1..c4:

    BLEU = 100 exp(min(0, 1 - R/L)) (p1 ... pN)^(1/N),
    pn = cn / (L - n + 1), or 1 / (2^k (L - n + 1)) for the k-th order without a match,

and is 0 where c1 = 0 (sacrebleu 2, `BLEU.compute_bleu`: exponential smoothing, effective order).

BLEU never falls when one cn grows: from 0 to 1 pn rises from 1/2^k to 1, and later orders without
a match are halved once less. So upper bounds in place of unknown counts give an upper bound of
BLEU. Used here: c1 <= min(R, shared tokens of the query), c2 <= min(R - 1, its shared bigrams), and
cn = 0 for all orders from the first one in which nothing matches.

Per query (`search`):

1. The inverted lists of its 4- and 3-grams give c3 and c4 of all references that share a trigram.
   The few with the highest bounds are scored, for a good best score early.
2. If no reference without a common trigram can reach the best, only those met so far are left:
   those whose bound reaches the best are scored. Where that are many, the lists of bigrams are
   read first, for those references only, and the bounds made anew from the exact c2.
3. Otherwise the lists of bigrams are read in full, and all references that share one and whose
   bound reaches the best are scored; and if a reference without a common bigram still could reach
   it, the lists of single tokens are read too.

"Reaches" allows for rounding by `SLACK` and for equal scores by `SAME`; nothing else is skipped.
With a threshold instead of a best score the same steps find all pairs above it. Working memory: 32
bytes a reference and 8 a shared token or bigram for each thread.
"""

from __future__ import annotations

import math

import numpy as np

from veneer.corpus.nearest.compiled import compiled, enlarged
from veneer.corpus.nearest.scores import SAME

SLACK = 1e-7
"""Relative allowance for rounding in the bounds' logarithms."""

LOWEST = -1e300
"""Below any bound but that of a reference that is out (-inf)."""

TRIALS = 3
"""References scored first, by their bounds."""

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
def _bound(logs, length, reference, c1, c2, c3, c4):
    """Upper bound of BLEU from upper bounds c1 > 0, c2, c3, c4, as a logarithm (see `_cut_of`)."""
    orders = min(4, length)
    total = logs[c1]
    halved = 0
    if orders > 1:
        halved += c2 == 0
        total += logs[c2] if c2 else -logs[2]
    if orders > 2:
        halved += c3 == 0
        total += logs[c3] if c3 else -halved * logs[2]
    if orders > 3:
        halved += c4 == 0
        total += logs[c4] if c4 else -halved * logs[2]
    if length < reference:
        total += orders * (1.0 - reference / length)
    return total


@compiled
def _cut_of(best, length, logs):
    """What `_bound` must reach so that BLEU can come up to `best`.

    The bound is the sum of log cn, with -k log 2 for those without a match, and N times the log of
    the brevity penalty; what it lacks, the sum of the totals' logarithms, is added here.
    """
    least = best - 2 * SAME
    if least <= 0:
        return LOWEST
    orders = min(4, length)
    cut = orders * math.log(least / 100.0) - SLACK
    for n in range(orders):
        cut += logs[length - n]
    return cut


@compiled
def _load(lists, text, mine, add):
    """Write a text's counts into `mine` by n-gram (or 0 where not `add`); returns their sum."""
    begins, ids, counts, _, _, _ = lists
    total = np.int64(0)
    for entry in range(begins[text], begins[text + 1]):
        mine[ids[entry]] = counts[entry] if add else 0
        total += counts[entry]
    return total


@compiled
def _size(lists, text):
    """How many entries the inverted lists of a text's n-grams have."""
    begins, ids, _, starts, _, _ = lists
    total = 0
    for entry in range(begins[text], begins[text + 1]):
        total += starts[ids[entry] + 1] - starts[ids[entry]]
    return total


@compiled
def _gather(lists, text, shift, packed, met, found, grow):
    """Add clipped matches << shift to `packed`; `met` holds the references with any.

    grow: also those met for the first time. Returns how many `met` holds.
    """
    begins, ids, counts, starts, texts, times = lists
    for entry in range(begins[text], begins[text + 1]):
        count = counts[entry]
        for at in range(starts[ids[entry]], starts[ids[entry] + 1]):
            reference = texts[at]
            if packed[reference] == 0:
                if not grow:
                    continue
                met[found] = reference
                found += 1
            packed[reference] += np.int64(min(count, times[at])) << shift
    return found


@compiled
def _matches(lists, reference, mine):
    """Clipped matches of the loaded query in one reference."""
    begins, ids, counts, _, _, _ = lists
    total = np.int64(0)
    for entry in range(begins[reference], begins[reference + 1]):
        total += min(counts[entry], mine[ids[entry]])
    return total


@compiled
def _put(columns, used, query, reference, score):
    """Append a row to growing columns (queries, references, scores)."""
    queries, references, scores = columns
    if used == len(queries):
        queries = enlarged(queries, 2 * used)
        references = enlarged(references, 2 * used)
        scores = enlarged(scores, 2 * used)
    queries[used], references[used], scores[used] = query, reference, score
    return (queries, references, scores), used + 1


@compiled
def _offer(rows, used, query, reference, score, best, nearest):
    """Keep a pair that may count; returns the rows, how many, and the best score so far."""
    if score < best - SAME or (not nearest and score <= best + SAME):
        return rows, used, best
    rows, used = _put(rows, used, query, reference, score)
    return rows, used, max(best, score) if nearest else best


@compiled
def _rough_bounds(lengths, packed, met, found, bounds, logs, length, most1, most2, skip):
    """Bounds of the references met, from their exact c3 and c4; `skip` is out."""
    for k in range(found):
        size, c34 = lengths[met[k]], packed[met[k]] >> BITS
        c1, c2 = min(most1, size), min(most2, size - 1)
        bounds[k] = _bound(logs, length, size, c1, c2, c34 & MASK, c34 >> BITS)
        if met[k] == skip:
            bounds[k] = -np.inf


@compiled
def _fine_bounds(lengths, packed, met, found, bounds, logs, length, most1, most2, skip, cut):
    """Bounds of the references met, from their exact c2, c3 and c4; `skip` is out."""
    least = 0  # c2 that a reference without a common trigram needs
    while least <= most2 and _bound(logs, length, length, most1, least, 0, 0) < cut:
        least += 1
    for k in range(found):
        c234, size = packed[met[k]], lengths[met[k]]
        bounds[k] = -np.inf
        if c234 >= least and met[k] != skip:
            c2, c3, c4 = c234 & MASK, (c234 >> BITS) & MASK, c234 >> (2 * BITS)
            bounds[k] = _bound(logs, length, size, min(most1, size), c2, c3, c4)


@compiled
def _lists_are_cheaper(lists, text, lengths, met, found, bounds, cut):
    """Whether a text's inverted lists are shorter than all references that reach the cut."""
    work, limit = 0, _size(lists, text)
    for k in range(found):
        if bounds[k] >= cut:
            work += lengths[met[k]]
    return work > limit


@compiled
def _first_within(rows, used, best):
    """The lowest reference whose score is the best."""
    _, references, scores = rows
    first = -1
    for k in range(used):
        if scores[k] >= best - SAME and (first < 0 or references[k] < first):
            first = references[k]
    return first


@compiled
def search(low, high, first, alike, lengths, references, orders, logs, threshold):
    """Nearest reference of queries low..high-1, or, with a threshold, all those above it.

    first: number of the text that query 0 is. alike: references and queries are the same texts.
    orders: fields of `Lists`, orders 1 to 4. logs: logarithms of 0 (as 0), 1, ..., longest.
    threshold: BLEU 0-100, or -1 for the nearest.
    Returns bleu and index of each query, pairs above (queries, references, bleu), how many.
    """
    nearest = threshold < 0
    bleu = np.zeros(high - low)
    index = np.full(high - low, -1)
    rows = (np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64))
    used = 0  # rows: of the whole block with a threshold, else of the query
    mine1 = np.zeros(len(orders[0][3]), np.int32)
    mine2 = np.zeros(len(orders[1][3]), np.int32)
    packed = np.zeros(references, np.int64)  # c2, c3, c4 of each reference
    single = np.zeros(references, np.int64)  # c1
    met = np.empty(references, np.int32)
    alone = np.empty(references, np.int32)  # met in the lists of tokens only
    bounds = np.empty(references)
    for query in range(low, high):
        text = first + query
        length = lengths[text]
        other = 1 if alike and query == 0 else 0
        if length == 0 or other >= references:
            continue
        best = 0.0 if nearest else threshold
        if nearest:
            rows, used = _put(rows, 0, query, other, 0.0)
        cut = _cut_of(best, length, logs)
        most1 = _load(orders[0], text, mine1, True)
        most2 = _load(orders[1], text, mine2, True)
        found = _gather(orders[3], text, 2 * BITS, packed, met, 0, True)
        found = _gather(orders[2], text, BITS, packed, met, found, True)
        skip = query if alike else -1
        _rough_bounds(lengths, packed, met, found, bounds, logs, length, most1, most2, skip)
        for _ in range(min(found, TRIALS) if nearest else 0):
            top = 0
            for k in range(1, found):
                if bounds[k] > bounds[top]:
                    top = k
            if bounds[top] < cut:
                break
            bounds[top] = -np.inf
            reference = met[top]
            c34 = packed[reference] >> BITS
            c1, c2 = _matches(orders[0], reference, mine1), _matches(orders[1], reference, mine2)
            score = _score(length, lengths[reference], c1, c2, c34 & MASK, c34 >> BITS)
            rows, used, best = _offer(rows, used, query, reference, score, best, nearest)
            cut = _cut_of(best, length, logs)
        # Can a reference win that shares no trigram? Else, are the lists cheaper than the texts?
        wide = most1 > 0 and _bound(logs, length, length, most1, most2, 0, 0) >= cut
        exact = wide or _lists_are_cheaper(orders[1], text, lengths, met, found, bounds, cut)
        if exact:
            found = _gather(orders[1], text, 0, packed, met, found, wide)
            _fine_bounds(lengths, packed, met, found, bounds, logs, length, most1, most2, skip, cut)
        for k in range(found):
            if bounds[k] < cut:
                continue
            reference = met[k]
            c234 = packed[reference]
            c1 = _matches(orders[0], reference, mine1)
            c2 = c234 & MASK if exact else _matches(orders[1], reference, mine2)
            c3, c4 = (c234 >> BITS) & MASK, c234 >> (2 * BITS)
            score = _score(length, lengths[reference], c1, c2, c3, c4)
            rows, used, best = _offer(rows, used, query, reference, score, best, nearest)
            cut = _cut_of(best, length, logs)
        if wide and _bound(logs, length, length, most1, 0, 0, 0) >= cut:
            singles = _gather(orders[0], text, 0, single, alone, 0, True)
            for k in range(singles):
                reference = alone[k]
                c1, size = np.int64(single[reference]), lengths[reference]
                single[reference] = 0
                if packed[reference] or reference == skip:
                    continue
                if _bound(logs, length, size, c1, 0, 0, 0) >= cut:
                    score = _score(length, size, c1, 0, 0, 0)
                    rows, used, best = _offer(rows, used, query, reference, score, best, nearest)
                    cut = _cut_of(best, length, logs)
        for k in range(found):
            packed[met[k]] = 0
        _load(orders[0], text, mine1, False)
        _load(orders[1], text, mine2, False)
        if nearest:
            bleu[query - low] = best
            index[query - low] = _first_within(rows, used, best)
    return bleu, index, rows, 0 if nearest else used
