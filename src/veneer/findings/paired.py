"""Scores of several models side by side, on the same items and the same seeds.

A *world* is a set of items that models were scored on. Runs with different seeds may
have worlds of their own (a new world a seed) or share one (the same test, another
shuffle); which, is read off the items. Within a world every model is resampled with the
same draws; over seeds the resampling has two levels, seeds first and items within each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from veneer.findings.estimate import laid_out, positions
from veneer.findings.resample import (
    RESAMPLES,
    Array,
    Column,
    Sampled,
    Score,
    normal_draws,
    point,
    posterior_draws,
    replicate,
    score_name,
    seed_of,
    undefined,
    unvarying,
    weights,
)
from veneer.records import Aggregate, ScoreSheet

NOWHERE = np.empty(0, dtype=np.int64)


@dataclass(eq=False)
class World:
    """Items (sorted), the sheets scored on them (by identity), and the seeds of those sheets."""

    items: tuple[str, ...]
    seeds: set[int] = field(default_factory=set)
    columns: dict[int, Column] = field(default_factory=dict)
    present: dict[int, Array] = field(default_factory=dict)  # (items,) of bool, a sheet each
    draws: dict[int, Array] = field(default_factory=dict)


class Pairing:
    """All scores of a study, arranged so that any of them can be compared fairly."""

    def __init__(self, scores: Sequence[Score]) -> None:
        self._scores = list(scores)  # keeps them alive: they are known by their identity
        self._worlds: dict[int, World] = {}
        by_measure: dict[str, list[ScoreSheet]] = defaultdict(list)
        for score in self._scores:
            if isinstance(score, ScoreSheet):
                by_measure[score.measure].append(score)
        for sheets in by_measure.values():
            self._arrange(sheets)

    def _arrange(self, sheets: list[ScoreSheet]) -> None:
        """Sheets whose items overlap, directly or through others, share a world."""
        distinct = list(dict.fromkeys(sheet.items for sheet in sheets))
        parent = list(range(len(distinct)))

        def root(k: int) -> int:
            while parent[k] != k:
                k = parent[k]
            return k

        owner: dict[str, int] = {}
        for k, items in enumerate(distinct):
            for item in items:
                parent[root(owner.setdefault(item, k))] = root(k)
        members: dict[int, set[str]] = defaultdict(set)
        for k, items in enumerate(distinct):
            members[root(k)].update(items)
        worlds = {k: World(tuple(sorted(items))) for k, items in members.items()}
        index = {k: {item: at for at, item in enumerate(w.items)} for k, w in worlds.items()}
        place = {items: root(k) for k, items in enumerate(distinct)}
        where = {i: positions(i, index[place[i]]) if i else NOWHERE for i in distinct}
        for sheet in sheets:
            world = worlds.get(place[sheet.items]) or World(())  # a sheet may have no items
            at = where[sheet.items]
            present = np.zeros(len(world.items), dtype=bool)
            present[at] = True
            world.seeds.add(sheet.subject.seed)
            world.columns[id(sheet)] = laid_out(sheet, at, len(world.items))
            world.present[id(sheet)] = present
            self._worlds[id(sheet)] = world

    def together(self, groups: Sequence[Sequence[Score]]) -> list[Sampled]:
        """Each group's mean score over its seeds, all on the same items and draws.

        A group is one model's scores on one metric, a seed each. A seed counts where
        every group has it; a group with a single run (a public base, one teacher) serves
        every seed whose items it was scored on. Items count where every group was scored;
        the others are `unscored`. Undefined where nothing can be compared.
        """
        if not groups or any(not group for group in groups):
            return [undefined("not measured")] * len(groups)
        runs = [{score.subject.seed: score for score in group} for group in groups]
        many = [set(run) for run in runs if len(run) > 1]
        if many:
            seeds = sorted(set.intersection(*many))
        else:
            common = set.intersection(*(set(run) for run in runs))
            seeds = sorted(common or set(runs[0]))
        compared: dict[int, list[Sampled]] = {}
        crossed: set[int] = set()
        lost: list[str] = []
        failed: list[Sampled] | None = None
        for seed in seeds:
            scores = [run.get(seed) or next(iter(run.values())) for run in runs]
            numbers = self._one_seed(scores)
            if all(number.defined for number in numbers):
                compared[seed] = numbers
                if self._is_shared(scores):
                    crossed.add(seed)
            else:
                failed = failed or numbers
                why = next(n for n in numbers if not n.defined).notes
                lost.append(f"seed {seed} left out ({'; '.join(why) or 'undefined'})")
        if not compared:
            return failed or [undefined("no seed in common")] * len(groups)
        return [
            over_seeds({seed: numbers[g] for seed, numbers in compared.items()}, crossed, lost)
            for g in range(len(groups))
        ]

    def _is_shared(self, scores: Sequence[Score]) -> bool:
        """Whether these items serve several seeds (then they are drawn once for all of them)."""
        worlds = [self._worlds[id(score)] for score in scores if isinstance(score, ScoreSheet)]
        return any(len(world.seeds) > 1 for world in worlds)

    def _one_seed(self, scores: Sequence[Score]) -> list[Sampled]:
        sheets = [score for score in scores if isinstance(score, ScoreSheet)]
        worlds = {id(self._worlds[id(sheet)]): self._worlds[id(sheet)] for sheet in sheets}
        if len(worlds) > 1:
            return [undefined("scored on different items: nothing to compare")] * len(scores)
        results: dict[int, Sampled] = {}
        if sheets:
            (world,) = worlds.values()
            results.update(self._on_common_items(world, sheets))
        unpaired = ("from totals, not items: unpaired",) if len(scores) > 1 else ()
        for score in scores:
            if isinstance(score, Aggregate):
                draws = normal_draws(score, score_name(score))
                results[id(score)] = Sampled(score.value, draws, score.n, 0, 1, unpaired)
        return [results[id(score)] for score in scores]

    def _on_common_items(self, world: World, sheets: Sequence[ScoreSheet]) -> dict[int, Sampled]:
        columns = {id(sheet): world.columns[id(sheet)] for sheet in sheets}
        own = {key: column.scored for key, column in columns.items()}
        mask = np.logical_and.reduce(list(own.values()))
        seen = np.logical_or.reduce([world.present[key] for key in columns])
        n, unscored = int(mask.sum()), int((seen & ~mask).sum())
        if not n:
            gone = undefined("no item was scored for all of them", 0, unscored)
            return dict.fromkeys(columns, gone)
        alike = {key for key, scored in own.items() if np.array_equal(scored, mask)}
        draws = {key: self._own_draws(world)[key] for key in alike}
        rest = [key for key in columns if key not in alike]
        if rest:
            fresh = replicate(weights(world.items), [columns[k] for k in rest], [mask] * len(rest))
            draws.update(zip(rest, fresh, strict=True))
        results = {}
        for key, column in columns.items():
            value, why = point(column, mask)
            constant = unvarying(column, mask)
            if why:
                results[key] = undefined(why, n, unscored)
            elif constant is not None:
                drawn = posterior_draws(constant, n, column.name)
                results[key] = Sampled(value, drawn, n, unscored)
            else:
                results[key] = Sampled(value, draws[key], n, unscored)
        return results

    def _own_draws(self, world: World) -> dict[int, Array]:
        """Every sheet of the world over its own scored items, computed once and in one go."""
        if not world.draws:
            columns = list(world.columns.values())
            masks = [column.scored for column in columns]
            found = replicate(weights(world.items), columns, masks)
            world.draws = dict(zip(world.columns, found, strict=True))
        return world.draws


def over_seeds(
    numbers: Mapping[int, Sampled], crossed: Collection[int], lost: Sequence[str] = ()
) -> Sampled:
    """The mean of one number over its seeds, which are resampled before the items within each.

    `crossed` are the seeds that share their items with others; `lost` says what was left out.
    """
    kept = tuple(numbers)
    if len(kept) == 1 and not lost:
        return numbers[kept[0]]
    picks, rows = seed_picks(kept, tuple(seed in crossed for seed in kept))
    draws = np.stack([number.draws for number in numbers.values()])[picks, rows].mean(axis=1)
    notes = dict.fromkeys([text for number in numbers.values() for text in number.notes])
    return Sampled(
        float(np.mean([number.value for number in numbers.values()])),
        draws,
        sum(number.n for number in numbers.values()),
        sum(number.unscored for number in numbers.values()),
        len(kept),
        tuple(dict.fromkeys([*notes, *lost])),
    )


def seed_picks(seeds: tuple[int, ...], crossed: tuple[bool, ...]) -> tuple[Array, Array]:
    """Which seeds each resample draws, and which item resample serves each of them.

    Shapes (RESAMPLES, seeds). A seed with items of its own gets an item resample drawn
    afresh, also when it is drawn twice; seeds that share their items share the resample,
    because the items are the same items.
    """
    if len(seeds) == 1:
        rows = np.arange(RESAMPLES)[:, None]
        return np.zeros_like(rows), rows
    rng = np.random.default_rng(seed_of("seeds", *map(str, seeds)))
    picks = rng.integers(0, len(seeds), (RESAMPLES, len(seeds)))
    fresh = rng.integers(0, RESAMPLES, (RESAMPLES, len(seeds)))
    shared = np.broadcast_to(np.arange(RESAMPLES)[:, None], fresh.shape)
    return picks, np.where(np.array(crossed)[picks], shared, fresh)
