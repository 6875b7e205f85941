"""Evaluation queries against the questions of a corpus, a chunk of questions at a time.

The figures are those of the paper's footnote 3: an evaluation query is the hypothesis, a
question of the corpus the reference, and the highest sentence BLEU counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from veneer.corpus.dedup import bare, digest
from veneer.corpus.nearest import SAME
from veneer.corpus.pipeline.reading import Evaluation

CHUNK = 20_000
"""Questions compared at once."""


class Overlap:
    """Collects, for each evaluation query, the nearest question, and the rows that ask it.

    `equal` and `nearly` are rows of the corpus with a question equal to an evaluation query (up
    to case, width, spacing and punctuation), or one above the threshold.
    """

    def __init__(self, evaluations: Sequence[Evaluation], threshold: float | None) -> None:
        self.evaluations = evaluations
        self.threshold = None if threshold is None else 100 * threshold
        self.equal: set[int] = set()
        self.nearly: set[int] = set()
        texts = dict.fromkeys(text for each in evaluations for text in each.texts)
        self._texts = list(texts)
        self._place = {text: at for at, text in enumerate(self._texts)}
        self._bare: dict[bytes, list[int]] = {}
        for at, text in enumerate(self._texts):
            self._bare.setdefault(digest(bare(text)), []).append(at)
        n = len(self._texts)
        self._first, self._any = np.zeros(n), np.zeros(n)
        self._identical, self._asked = np.zeros(n, bool), np.zeros(n, bool)
        self._waiting: list[tuple[int, str, bool]] = []

    def add(self, row: int, questions: Sequence[str], keys: Sequence[bytes]) -> None:
        """One row: its user turns in order, and the key of each."""
        for key in keys:
            if key in self._bare:
                self.equal.add(row)
                self._asked[self._bare[key]] = True
        if questions and questions[0] in self._place:
            self._identical[self._place[questions[0]]] = True
        if self.threshold is not None:
            self._waiting += [(row, text, at == 0) for at, text in enumerate(questions) if text]
            if len(self._waiting) >= CHUNK:
                self.settle()

    def settle(self) -> None:
        """Compare what waits."""
        if not self._waiting or not self._texts or self.threshold is None:
            return
        from veneer.corpus.nearest import above, nearest_bleu

        rows = [row for row, _, _ in self._waiting]
        texts = [text for _, text, _ in self._waiting]
        first = [text for _, text, is_first in self._waiting if is_first]
        self._waiting = []
        np.maximum(self._first, nearest_bleu(self._texts, first).bleu, out=self._first)
        found = above(self._texts, texts, self.threshold)
        np.maximum.at(self._any, found.query, found.bleu)
        self.nearly.update(rows[at] for at in np.unique(found.reference).tolist())

    def figures(self) -> dict[str, dict[str, Any]]:
        """For each file, with the first queries of the corpus as references.

        n: queries; above: with BLEU above the threshold, and their `ids`; identical: strings that
        are queries of the corpus; mean_of_maxima: 0 to 100. `asked`: equal to a question of any
        turn; above_any_turn: above the threshold against a question of any turn.
        """
        figures: dict[str, dict[str, Any]] = {}
        for each in self.evaluations:
            at = np.array([self._place[text] for text in each.texts], np.int64)
            figure: dict[str, Any] = {
                "n": len(at),
                "identical": int(self._identical[at].sum()),
                "asked": int(self._asked[at].sum()),
            }
            if self.threshold is not None:
                over = np.flatnonzero(self._first[at] > self.threshold + SAME)
                figure |= {
                    "threshold": self.threshold,
                    "above": len(over),
                    "above_any_turn": int((self._any[at] > self.threshold + SAME).sum()),
                    "mean_of_maxima": float(self._first[at].mean()) if len(at) else None,
                    "ids": [each.id(i) for i in over.tolist()],
                }
            figures[each.name] = figure
        return figures

    def contaminated(self) -> list[list[dict[str, Any]]]:
        """For each file its contaminated queries: place in it, id, text, BLEU, whether equal."""
        found: list[list[dict[str, Any]]] = []
        for each in self.evaluations:
            found.append([])
            for place, text in enumerate(each.texts):
                at = self._place[text]
                over = self.threshold is not None and self._any[at] > self.threshold + SAME
                if over or self._asked[at]:
                    bleu = None if self.threshold is None else float(self._any[at])
                    about = {"file": each.name, "id": each.id(place), "text": text, "bleu": bleu}
                    found[-1].append({"place": place, **about, "asked": bool(self._asked[at])})
        return found


def diversity_of(queries: Iterable[str], sample: int) -> dict[str, Any]:
    """Nearest sentence BLEU within a sample of the unique queries (paper, §3).

    n: queries compared, the first `sample` by SHA-1, so that corpora of different sizes compare;
    of: unique non-empty queries; mean_bleu 0 to 100; share_above_20 a fraction;
    both with their 95 % intervals (see `veneer.corpus.nearest.estimates_of`).
    """
    import hashlib
    import heapq

    met: set[bytes] = set()
    least: list[tuple[int, str]] = []
    for text in queries:
        key = digest(text)
        if not text or key in met:
            continue
        met.add(key)
        rank = -int(hashlib.sha1(text.encode()).hexdigest(), 16)
        if len(least) < sample:
            heapq.heappush(least, (rank, text))
        elif rank > least[0][0]:
            heapq.heapreplace(least, (rank, text))
    chosen = [text for _, text in sorted(least, reverse=True)]
    if len(chosen) < 2:
        return {
            "n": len(chosen),
            "sample": len(chosen),
            "of": len(met),
            "mean_bleu": None,
            "share_above_20": None,
        }
    from veneer.corpus.nearest import estimates_of, nearest_bleu

    found = estimates_of(nearest_bleu(chosen).bleu, 20.0)
    return {
        "n": len(chosen),
        "sample": len(chosen),
        "of": len(met),
        "mean_bleu": found["mean_bleu"],
        "mean_bleu_interval": found["mean_bleu_interval"],
        "share_above_20": found["share_above"],
        "share_above_20_interval": found["share_above_interval"],
    }
