"""Figures, tables and bars: the numbers drawn are the numbers measured."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
import report_samples as samples
from hypothesis import given
from hypothesis import strategies as st

from veneer.errors import InputError
from veneer.records import CorpusFacts, Findings, GapClosed, Measurement, StudyFacts
from veneer.report import write_bars
from veneer.report.bars import two_bars
from veneer.report.drawing import inline, panel_svg, spaced
from veneer.report.figures import draw_all
from veneer.report.panels import data_panel, size_panel
from veneer.report.series import Grid, pooled
from veneer.report.tables import score_table, table2
from veneer.report.wording import amount, duration, interval, number, percent

SEEDS = (0, 1)
FACTS = StudyFacts(
    name="pocket", parameters=samples.PARAMETERS, seeds=SEEDS,
    corpora={"broad": CorpusFacts(kind="broad"), "local": CorpusFacts(kind="local", task="nq")},
)  # fmt: skip
ROWS = tuple(samples.rows(SEEDS))
GRID = Grid(ROWS, FACTS, tuple(samples.gaps(2)))
NQ = ("nq", "exact_match")


def by_hand(**wanted: object) -> list[Measurement]:
    return [r for r in ROWS if all(getattr(r, k) == v for k, v in wanted.items())]


def findings(style, capability=None, gaps=()) -> Findings:
    none = samples.est(None, None, None, 0, note="why")
    return Findings(
        verdict="", gap_closed=gaps, veneer={"style": style, "capability": capability or none},
        claims=(), forecasts=(), advice=(),
    )  # fmt: skip


# ---- pooling over seeds -------------------------------------------------------------------


def test_seeds_are_pooled_by_their_mean_and_widest_interval() -> None:
    rows = by_hand(base="L", corpus="broad", tokens=158_000, measure="nq")
    found = GRID.student(NQ, "L", "broad", 158_000)
    assert found is not None
    assert len(rows) == 2
    assert found.value == pytest.approx(mean(r.value for r in rows))
    assert (found.low, found.high) == (min(r.low for r in rows), max(r.high for r in rows))
    assert found.spread == (min(r.value for r in rows), max(r.value for r in rows))
    assert found.n == sum(r.n for r in rows)


def test_an_undefined_seed_is_counted_and_never_a_zero() -> None:
    one, two = by_hand(base="L", corpus="broad", tokens=158_000, measure="nq")
    found = pooled([one, two.model_copy(update={"value": None, "low": None, "high": None})])
    assert found is not None
    assert (found.value, found.low, found.high) == (one.value, one.low, one.high)
    assert found.seeds == 1
    assert found.by_seed == ((0, one.value), (1, None))


# ---- panels -------------------------------------------------------------------------------


def test_data_panel_draws_the_measurements_over_log_tokens_with_the_base_at_0() -> None:
    panel = data_panel(GRID, NQ, "x", "NQ")
    assert [line.name for line in panel.lines] == ["S", "M", "L"]
    large = panel.lines[-1]
    wanted = [mean(r.value for r in by_hand(role="base", base="L", measure="nq"))]
    for tokens in samples.AMOUNTS:
        rows = by_hand(base="L", corpus="broad", tokens=tokens, measure="nq")
        wanted.append(mean(r.value for r in rows))
    assert large.ys == pytest.approx([100 * value for value in wanted])
    assert large.xs[1:] == pytest.approx([math.log10(t) for t in samples.AMOUNTS])
    assert large.xs[0] < large.xs[1]
    assert [label for _, label in panel.ticks] == ["0", "15.8k", "47.4k", "158k"]
    teacher = mean(r.value for r in by_hand(role="teacher", measure="nq"))
    assert {level.name: level.y for level in panel.levels}["teacher"] == pytest.approx(
        100 * teacher
    )


def test_size_panel_draws_base_broad_and_local_over_parameters() -> None:
    panel = size_panel(GRID, NQ, "x", "NQ")
    assert [line.name for line in panel.lines] == ["base", "broad", "local"]
    local = [mean(r.value for r in by_hand(base=b, corpus="local", measure="nq")) for b in "SML"]
    assert panel.lines[2].ys == pytest.approx([100 * value for value in local])
    sizes = [math.log10(samples.PARAMETERS[b]) for b in "SML"]
    assert panel.lines[0].xs == pytest.approx(sizes)
    mmlu = size_panel(GRID, ("mmlu", "accuracy"), "y", "MMLU")
    assert [line.name for line in mmlu.lines] == ["base", "broad"]  # local serves NQ alone


def test_bases_of_unknown_size_stand_side_by_side() -> None:
    facts = FACTS.model_copy(update={"parameters": {"S": 29_000, "M": None, "L": None}})
    panel = size_panel(Grid(ROWS, facts), NQ, "x", "NQ")
    assert [x for x, _ in panel.ticks] == [0, 1, 2]
    assert panel.xlabel == "base model"


def test_preference_brings_figure_3_and_the_left_of_figure_1() -> None:
    liked = tuple(
        r.model_copy(update={"measure": "preference", "metric": "win_or_tie_rate"})
        for r in ROWS
        if r.measure == "nq" and r.role == "student"
    )
    drawn = draw_all(Grid((*ROWS, *liked), FACTS))
    figures = {f.id: f for f in drawn.figures}
    assert [p.id for p in figures["figure1"].rows[0]] == [
        "figure1-preference", "figure1-data", "figure1-size",
    ]  # fmt: skip
    assert len(figures["figure3"].rows[0]) == 2
    assert not any("Figure 3" in line for line in drawn.missing)


def test_one_base_draws_no_trend_over_size() -> None:
    drawn = draw_all(Grid(tuple(r for r in ROWS if r.base in (None, "L")), FACTS))
    assert all("size" not in p.id for f in drawn.figures for row in f.rows for p in row)
    assert sum("at least two bases" in line for line in drawn.missing) == 2


def test_an_undefined_gap_is_told_beside_the_figure() -> None:
    gap = GRID.gaps[0].model_copy(
        update={"base": "L", "value": None, "defined": False, "note": "includes 0"}
    )
    drawn = draw_all(Grid(ROWS, FACTS, (*GRID.gaps, gap)))
    assert "Gap closed on NQ 3-shot, L: undefined (includes 0)." in drawn.missing


def test_without_defined_gaps_there_is_no_gap_figure() -> None:
    gaps = tuple(
        g.model_copy(update={"value": None, "low": None, "high": None, "defined": False})
        for g in GRID.gaps
    )
    drawn = draw_all(Grid(ROWS, FACTS, gaps))
    assert "gap" not in [f.id for f in drawn.figures]
    assert "Gap closed against data: no gap is defined at two known data amounts or more." in (
        drawn.missing
    )


def test_a_second_corpus_at_one_amount_is_a_hollow_point_and_no_trend() -> None:
    replayed = tuple(
        r.model_copy(update={"corpus": "replayed"})
        for r in ROWS
        if r.corpus == "broad" and r.tokens == 158_000
    )
    corpora = {**FACTS.corpora, "replayed": CorpusFacts(kind="broad")}
    facts = FACTS.model_copy(update={"corpora": corpora})
    lines = {line.name: line for line in data_panel(Grid((*ROWS, *replayed), facts), NQ, "x", "NQ").lines}  # fmt: skip
    assert len(lines) == 6
    assert len(lines["L broad"].ys) == 4
    assert lines["L replayed"].ys == pytest.approx(lines["L broad"].ys[-1:])
    assert lines["L replayed"].hollow
    assert len({line.shift for line in lines.values()}) == 6


def test_inline_svg_keeps_the_text_and_loses_the_rest() -> None:
    svg = panel_svg(data_panel(GRID, NQ, "some-panel", "A < title & more"))
    assert "A &lt; title &amp; more" in svg
    assert "<?xml" not in svg
    assert "DOCTYPE" not in svg
    assert "xmlns" not in svg
    assert "<style" not in svg
    made = inline('<svg viewBox="0 0 1 2"><g id="a"><use xlink:href="#a"/></g></svg>', "p")
    assert made == (
        '<svg viewBox="0 0 1 2" aria-hidden="true"><g id="p-a"><use href="#p-a"/></g></svg>'
    )


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=8).map(sorted),
    st.floats(0.1, 30),
    st.lists(st.floats(-5, 105), min_size=8, max_size=8).map(sorted),
)
def test_labels_are_spread_by_least_squares(wanted, gap, other) -> None:
    places = spaced(wanted, gap, 0, 100)
    gap = min(gap, 100 / max(len(wanted) - 1, 1))
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(places))
    assert places[0] >= -1e-6
    assert places[-1] <= 100 + 1e-6
    # no allowed placement lies downhill: the condition that marks the least-squares optimum
    room = 100 - gap * (len(wanted) - 1)
    allowed = [min(max(y, 0), room) + i * gap for i, y in enumerate(other[: len(wanted)])]
    slope = sum((p - w) * (a - p) for p, w, a in zip(places, wanted, allowed, strict=True))
    assert slope >= -1e-3


def test_labels_that_want_one_place_stand_around_it() -> None:
    assert spaced([50, 50, 50], 10, 0, 100) == pytest.approx([40, 50, 60])
    assert spaced([50, 50, 50, 90], 10, 0, 100) == pytest.approx([40, 50, 60, 90])
    assert spaced([99, 100], 10, 0, 100) == pytest.approx([90, 100])
    assert spaced([], 10, 0, 100) == []


# ---- tables -------------------------------------------------------------------------------

PAPER_NQ = {  # the paper's Table 1
    ("7B", None): 0.17, ("7B", "ShareGPT-Mix"): 0.10, ("7B", "NQ-Synthetic"): 0.22,
    ("13B", None): 0.20, ("13B", "ShareGPT-Mix"): 0.15, ("13B", "NQ-Synthetic"): 0.27,
}  # fmt: skip
PAPER_GAPS = {  # protocols, section 4: gap closed in whole per cents
    ("7B", "ShareGPT-Mix"): "−50", ("13B", "ShareGPT-Mix"): "−45",
    ("7B", "NQ-Synthetic"): "36", ("13B", "NQ-Synthetic"): "64",
}  # fmt: skip


def test_table_1_of_the_paper_comes_back() -> None:
    def row(role, base, corpus, value):
        tokens = {None: 0, "ShareGPT-Mix": 150_000_000, "NQ-Synthetic": 6_000}[corpus]
        return Measurement(
            model=f"{base} {corpus}", role=role, base=base, corpus=corpus,
            tokens=None if role == "teacher" else tokens, seed=0, measure="nq",
            metric="exact_match", value=value, low=None, high=None, n=0, unscored=0,
        )  # fmt: skip

    rows = [row("base" if c is None else "student", b, c, v) for (b, c), v in PAPER_NQ.items()]
    rows.append(row("teacher", None, None, 0.31))
    gaps = [
        GapClosed(
            base=b, corpus=c, tokens=150_000_000 if c == "ShareGPT-Mix" else 6_000,
            family="capability", measure="nq", metric="exact_match", low=None, high=None,
            value=(v - PAPER_NQ[b, None]) / (0.31 - PAPER_NQ[b, None]), defined=True, n=0,
        )
        for (b, c), v in PAPER_NQ.items()
        if c is not None
    ]  # fmt: skip
    facts = StudyFacts(
        name="paper",
        parameters={"7B": 7_000_000_000, "13B": 13_000_000_000},
        corpora={
            "ShareGPT-Mix": CorpusFacts(kind="broad"),
            "NQ-Synthetic": CorpusFacts(kind="local", task="nq"),
        },
    )
    table = score_table(Grid(tuple(rows), facts, tuple(gaps)), "capability")  # fmt: skip
    assert table is not None
    said = {(r[0].text, r[1].text.split(",")[0]): r[2] for r in table.rows}
    for (base, corpus), value in PAPER_NQ.items():
        cell = said[base, corpus or "none (base)"]
        assert cell.text == f"{100 * value:.1f}\xa0%"
        assert cell.counted == "n not given"
        assert cell.interval == "no interval"
        if corpus:
            assert cell.extra == f"gap {PAPER_GAPS[base, corpus]}\xa0% no interval"
    assert said["teacher", "–"].text == "31.0\xa0%"
    assert [r[0].text for r in table.rows] == ["7B"] * 3 + ["13B"] * 3 + ["teacher"]


def test_table_2_has_base_amounts_and_ceiling() -> None:
    table = table2(GRID, "L")
    assert table is not None
    assert table.header[1:] == (
        "base", "15.8k tokens", "47.4k tokens", "158k tokens", "teacher again",
    )  # fmt: skip
    lists = table.rows[0]
    again = by_hand(role="teacher-again", metric="list_agreement")
    assert lists[-1].raw[0] == pytest.approx(mean(r.value for r in again))
    lengths = table.rows[-1]
    assert "%" not in lengths[1].text  # a correlation is no percentage


def test_students_without_named_data_are_told_apart_by_name() -> None:
    def row(model, role, value):
        return Measurement(
            model=model, role=role, base="b", corpus=None, tokens=0 if role == "base" else None,
            seed=0, measure="nq", metric="exact_match", value=value, low=value, high=value, n=9,
            unscored=0,
        )  # fmt: skip

    facts = StudyFacts(name="audit", parameters={"b": None}, corpora={})
    rows = (row("b", "base", 0.1), row("one", "student", 0.2), row("two", "student", 0.6))
    table = score_table(Grid(rows, facts), "capability")
    assert table is not None
    said = [[c.text for c in r] for r in table.rows]
    assert said == [
        ["b", "none (base)", "10.0\xa0%"], ["b", "one", "20.0\xa0%"], ["b", "two", "60.0\xa0%"],
    ]  # fmt: skip


# ---- the two bars -------------------------------------------------------------------------

fractions = st.floats(-5, 5, allow_nan=False)


@given(fractions, st.floats(0, 3), st.floats(0, 3))
def test_bars_end_where_their_values_are(value, below, above) -> None:
    e = samples.est(value, value - below, value + above, 10)
    laid = two_bars(findings(e))
    bar = laid.bars[0]
    scale = laid.full - laid.zero
    end = bar.left if value < 0 else bar.left + bar.width
    assert (end - laid.zero) / scale == pytest.approx(value, abs=0.002)
    assert 0 <= bar.low <= bar.high <= 100
    if not bar.cut_low:
        assert (bar.low - laid.zero) / scale == pytest.approx(value - below, abs=0.002)
    if not bar.cut_high:
        assert (bar.high - laid.zero) / scale == pytest.approx(value + above, abs=0.002)


def test_an_undefined_bar_is_not_a_bar_of_0() -> None:
    bar = two_bars(findings(samples.est(0.0, -0.1, 0.1, 9))).bars
    assert (bar[0].defined, bar[0].value) == (True, "0\xa0%")
    assert (bar[1].defined, bar[1].value, bar[1].note) == (False, "undefined", "why")


def test_bars_are_written_as_a_picture(tmp_path: Path) -> None:
    made = findings(samples.est(1.2, 0.9, 9.0, 9))
    assert write_bars(made, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "120\xa0%" in write_bars(made, tmp_path / "a.svg").read_text(encoding="utf-8")
    with pytest.raises(InputError, match=r"\.svg or \.png"):
        write_bars(made, tmp_path / "a.jpg")


# ---- words --------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6))
def test_numbers_can_be_read_back(value) -> None:
    said = number(value, 2)
    assert float(said.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, abs=0.00501)
    assert said not in ("-0.00", "\N{MINUS SIGN}0.00")


@given(st.integers(1, 10**13))
def test_amounts_keep_three_digits(count) -> None:
    said = amount(count)
    unit = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(said[-1], 1)
    assert float(said.rstrip("kMBT")) * unit == pytest.approx(count, rel=0.00501)


def test_words() -> None:
    assert percent(None) == "undefined"
    assert interval("exact_match", 0.431, 0.52) == "[43.1, 52.0]"
    assert interval("length_correlation", -0.1, 0.52) == "[\N{MINUS SIGN}0.10, 0.52]"
    assert amount(999_700) == "1M"
    assert [duration(s) for s in (2.51, 75.2, 7322.0)] == ["2.5 s", "1 min 15 s", "2 h 02 min"]
