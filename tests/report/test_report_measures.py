"""Alarms, judged preferences, support and categories: what is shown is what the records say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import report_judged as judging
from report_dom import Node, read

from veneer.errors import InputError
from veneer.records import CategoryMeasurement, Findings, Measurement, PreferenceReport, read_rows
from veneer.report import build
from veneer.report.drawing import Drawing, Line, Panel
from veneer.report.figures import draw_all
from veneer.report.gains import support_figure
from veneer.report.reading import read_run
from veneer.report.series import Grid
from veneer.report.summary import summary
from veneer.report.verdicts import preference_figure
from veneer.report.wording import falls, interval, is_rate, measure_name, metric_name, number, score


def page_of(run: Path) -> Node:
    return read((run / "report/index.html").read_text(encoding="utf-8"))


def findings_of(run: Path) -> Findings:
    return Findings.model_validate_json((run / "findings.json").read_text())


def grid_of(run: Path) -> Grid:
    held = read_run(run)
    return Grid(held.measurements, held.facts, held.findings.gap_closed)


def table_of(run: Path, name: str) -> list[dict[str, str]]:
    with (run / f"report/tables/{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def said(node: Node) -> str:
    return " ".join(node.text.replace("\N{NO-BREAK SPACE}", " ").split())


def figure(run: Path, name: str) -> Node:
    (found,) = [n for n in page_of(run).all("figure") if n.attributes.get("id") == name]
    return found


# ---- alarms ---------------------------------------------------------------------------------


def test_alarms_stand_above_the_claims_with_their_numbers(judged: Path) -> None:
    alarms = findings_of(judged).alarms
    assert {a.id for a in alarms} == {"style-up-capability-down", "preference-up-capability-down"}
    (header,) = page_of(judged).all("header")
    (box,) = header.all("div", "alarm")
    shown = said(box)
    for alarm in alarms:
        assert alarm.text in shown
        for piece in (*alarm.rising, *alarm.falling):
            assert f"by {number(abs(100 * piece.estimate.value), 1)} pp [" in alarm.text
            assert f"(n {piece.estimate.n}" in alarm.text
    assert shown.startswith(f"{len(alarms)} alarms")


def test_no_alarm_no_box(study: Path) -> None:
    assert page_of(study).all("div", "alarm") == []


def test_the_summary_gives_two_alarms_before_the_bars_and_counts_the_rest(judged: Path) -> None:
    findings = findings_of(judged)
    text = summary(findings, "report/index.html")
    joined = " ".join(text.split())
    for alarm in findings.alarms[:2]:
        assert f"Alarm: {alarm.text}" in joined
    assert f"and {len(findings.alarms) - 2} more in the report" in text
    assert text.index("Alarm:") < text.index("style gap closed  ")
    quiet = findings.model_copy(update={"alarms": ()})
    assert "Alarm" not in summary(quiet, "")


# ---- preferences ----------------------------------------------------------------------------


def test_bars_are_the_counts_and_their_intervals(judged: Path) -> None:
    reports = list(read_rows(judged / "preferences.jsonl", PreferenceReport))
    drawing = preference_figure(grid_of(judged), reports)
    assert isinstance(drawing, Drawing)
    ((stacks,),) = drawing.rows
    assert stacks.title == "Against the teacher"
    assert "judge-1 (pair-v2, both orders)" in stacks.subtitle
    by_name = {bar.name: bar for bar in stacks.bars}
    # 15 models are more than 12: bases, and the students of most data of each corpus
    assert list(by_name) == [
        name
        for base in "SML"
        for name in (f"{base}, before", f"{base} + broad, 158k tokens", f"{base} + local, 21k tokens")
    ]  # fmt: skip
    own = next(r for r in reports if r.subject.model == "L-broad-158000")
    bar = by_name["L + broad, 158k tokens"]
    counts = (own.wins, own.ties, own.losses)
    assert sum(counts) == own.win_or_tie_rate.n == 78
    assert bar.shares == pytest.approx([count / 78 for count in counts])
    assert sum(bar.shares[:2]) == pytest.approx(own.win_or_tie_rate.value)
    assert (bar.low, bar.high) == (own.win_or_tie_rate.low, own.win_or_tie_rate.high)
    assert "n 78, 2 unscored" in bar.label


def test_the_table_has_every_model_with_intervals_reasons_and_biases(judged: Path) -> None:
    reports = list(read_rows(judged / "preferences.jsonl", PreferenceReport))
    node = figure(judged, "preferences-1")
    (table,) = node.all("table")
    rows = {row.all("th")[0].text: said(row) for row in table.all("tr")[1:]}
    assert len(rows) == len(reports) == 15
    for report in (r for r in reports if r.subject.role == "base"):
        row = rows[f"{report.subject.model}, before"]
        e = report.win_rate
        assert score("win_rate", e.value).replace("\N{NO-BREAK SPACE}", " ") in row
        assert interval("win_rate", e.low, e.high) in row
        assert f"{report.wins} / {report.ties} / {report.losses}" in row
        assert row.endswith(f"2 {judging.REASON}")
    biases = [bias for report in reports for bias in report.biases]
    assert any("first answer shown won" in bias for bias in biases)
    for report in reports:
        for bias in report.biases:
            assert bias in said(node)
        if report.length_effect is not None and report.length_effect.value is not None:
            assert f"length effect {number(report.length_effect.value)}" in said(node)
    lines = table_of(judged, "preferences")
    numbers = ("win_rate", "win_or_tie_rate", "length_controlled", "length_effect")
    numbers += ("first_position", "orders_agree")
    assert len(lines) == sum(getattr(r, name) is not None for r in reports for name in numbers)
    assert {line["what"] for line in lines} >= {"win_rate", "length_controlled", "orders_agree"}


def test_seeds_are_pooled_and_opponents_apart(judged: Path) -> None:
    reports = list(read_rows(judged / "preferences.jsonl", PreferenceReport))
    one = next(r for r in reports if r.subject.model == "L-broad-158000")
    again = one.model_copy(update={"subject": one.subject.model_copy(update={"seed": 1})})
    other = one.model_copy(update={"against": "a third model", "judge": ""})
    drawing = preference_figure(grid_of(judged), [one, again, other])
    assert drawing is not None
    (first,), (second,) = drawing.rows
    assert [len(first.bars), len(second.bars)] == [1, 1]
    assert "n 156, 4 unscored" in first.bars[0].label
    assert "n 78, 2 unscored" in second.bars[0].label
    assert (second.title, second.subtitle) == ("Against a third model", "pair-v2, both orders")


# ---- support --------------------------------------------------------------------------------


def test_the_support_figure_draws_the_gains_of_each_bin(judged: Path) -> None:
    curves = findings_of(judged).support
    drawing = support_figure(grid_of(judged), curves)
    assert drawing is not None
    panels = [panel for row in drawing.rows for panel in row]
    assert {p.title.split(",")[0] for p in panels} <= {"NQ 3-shot", "MMLU"}
    (nq,) = [p for p in panels if p.title.startswith("NQ")]
    assert [line.name for line in nq.lines] == ["S", "M", "L"]
    curve = next(c for c in curves if (c.base, c.measure) == ("L", "nq"))
    assert nq.lines[2].xs == tuple((p.low + p.high) / 2 for p in curve.points)
    assert nq.lines[2].ys == pytest.approx([100 * p.gain.value for p in curve.points])
    assert nq.lines[2].bars[0] == pytest.approx(
        (100 * curve.points[0].gain.low, 100 * curve.points[0].gain.high)
    )


def test_the_support_table_and_csv_hold_every_bin_and_slope(judged: Path) -> None:
    curves = findings_of(judged).support
    lines = table_of(judged, "support")
    assert len(lines) == sum(3 * len(c.points) + 1 for c in curves)
    slopes = [line for line in lines if line["what"].startswith("slope")]
    written = [float(line["value"]) if line["value"] else None for line in slopes]
    assert written == [c.slope.value for c in curves]
    (table,) = [
        fold for fold in page_of(judged).all("details")
        if said(fold).startswith("Gain against support")
    ]  # fmt: skip
    assert said(table).count("slope, for 10 BLEU more") == len(curves)
    assert f"BLEU {curves[0].points[0].low:g}–{curves[0].points[0].high:g}" in said(table)


def test_a_curve_of_one_bin_is_in_the_table_only(judged: Path) -> None:
    findings = findings_of(judged)
    short = [c.model_copy(update={"points": c.points[:1]}) for c in findings.support]
    assert support_figure(grid_of(judged), short) is None
    assert support_figure(grid_of(judged), ()) is None


# ---- categories -----------------------------------------------------------------------------


def test_a_style_table_has_the_categories_of_the_largest_base(judged: Path) -> None:
    rows = list(read_rows(judged / "categories.jsonl", CategoryMeasurement))
    (fold,) = [
        n for n in page_of(judged).all("details") if said(n).startswith("If the teacher writes")
    ]
    header, *body = fold.all("tr")
    assert [th.text for th in header.all("th")] == [
        "category", "L, before", "broad, 158k tokens", "local, 21k tokens", "teacher again",
    ]  # fmt: skip
    assert [row.all("th")[0].text for row in body] == sorted(judging.CATEGORIES)
    wanted = {
        r.category: r for r in rows
        if (r.model, r.metric) == ("L-broad-158000", "list_agreement")
    }  # fmt: skip
    for row in body:
        own = wanted[row.all("th")[0].text]
        cell = row.all("td")[1]
        shown = said(cell)
        assert shown.startswith(score("list_agreement", own.value).replace("\xa0", " "))
        assert interval("list_agreement", own.low, own.high) in shown
        assert f"n {own.n}" in shown
        assert cell.attributes["style"] == f"--share:{round(100 * own.value)}%"


def test_many_categories_are_in_the_csv_and_that_is_said(judged: Path) -> None:
    assert "MMLU, accuracy by category: 20 categories, in tables/categories.csv." in said(
        page_of(judged)
    )
    rows = list(read_rows(judged / "categories.jsonl", CategoryMeasurement))
    lines = table_of(judged, "categories")
    assert len(lines) == len(rows)
    assert [line["category"] for line in lines] == [row.category for row in rows]
    assert {line["metric"] for line in lines} >= {"accuracy", "list_agreement", "win_rate"}


# ---- what is not there, what is broken ------------------------------------------------------


def test_an_old_run_folder_still_gives_a_report(study: Path) -> None:
    """The sample of a study has none of the optional files, and old findings lack two fields."""
    assert not {"categories.jsonl", "preferences.jsonl"} & {p.name for p in study.iterdir()}
    page = page_of(study)
    ids = {node.attributes.get("id") for node in page.all("figure")}
    assert "figure4" in ids
    assert not ids & {"preferences", "preferences-1", "support"}
    assert "By category" not in page.text
    tables = {p.stem for p in (study / "report/tables").iterdir()}
    assert not tables & {"categories", "preferences", "support"}
    old = json.loads((study / "findings.json").read_text())
    del old["alarms"], old["support"]
    assert Findings.model_validate(old) == findings_of(study)


def test_a_broken_optional_file_is_named(judged: Path, tmp_path: Path) -> None:
    for name in ("measurements.jsonl", "findings.json"):
        (tmp_path / name).write_bytes((judged / name).read_bytes())
    (tmp_path / "preferences.jsonl").write_text('{"subject": 1}\n')
    with pytest.raises(InputError, match=r"preferences\.jsonl, line 1: not a PreferenceReport"):
        build(tmp_path)


# ---- drawing --------------------------------------------------------------------------------


def test_names_at_the_right_edge_stay_inside_their_panel() -> None:
    from matplotlib import rc_context, rcParamsDefault
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from veneer.report.drawing import _RC, _figure

    names = ("shared words (recall)", "lm_eval task of a long name", "S")
    panels = [
        Panel(
            id="x", title="t", xlabel="x", ylabel="y", ticks=((0, "0"), (1, "1")),
            lines=(Line(name, (0, 1), (0, 50), (None, None)),),
        )
        for name in names
    ]  # fmt: skip
    edge = 0.0
    with rc_context({**rcParamsDefault, **_RC}):
        drawn = _figure((tuple(panels),))
        renderer = FigureCanvasAgg(drawn).get_renderer()
    for panel, axes in zip(panels, drawn.axes, strict=True):
        edge += panel.width * drawn.dpi
        (name,) = [text for text in axes.texts if text.get_text() == panel.lines[0].name]
        assert name.get_window_extent(renderer).x1 <= edge
        assert axes.get_window_extent(renderer).width >= 1.8 * drawn.dpi


@pytest.mark.parametrize(
    ("benchmarks", "rows"), [(3, [3]), (4, [4]), (5, [2, 3]), (7, [2, 2, 3]), (9, [3, 3, 3])]
)
def test_figure_4_has_rows_of_at_most_four_panels(benchmarks: int, rows: list[int]) -> None:
    made = [
        Measurement(
            model="m", role="student" if tokens else "base", base="L",
            corpus="broad" if tokens else None, tokens=tokens, seed=0, measure=f"lm_eval:task{k}",
            metric="acc", value=0.4, low=0.3, high=0.5, n=100, unscored=0,
        )
        for k in range(benchmarks)
        for tokens in (0, 1000)
    ]  # fmt: skip
    drawing = next(
        d for d in draw_all(Grid(tuple(made), judging.FACTS)).figures if d.id == "figure4"
    )
    assert [len(row) for row in drawing.rows] == rows
    assert drawing.rows[0][0].title == "task0, more data"


@pytest.mark.parametrize(
    ("metric", "rate", "lower"),
    [
        ("acc,none", True, False), ("win_rate", True, False), ("word_perplexity", False, True),
        ("toxicity_probability", True, True), ("length_correlation", False, False),
        ("bits_per_byte,none", False, True), ("bleu", False, False),
    ],
)  # fmt: skip
def test_units_and_directions_of_metrics(metric: str, rate: bool, lower: bool) -> None:
    assert (is_rate(metric), falls(metric)) == (rate, lower)
    assert ("lower is better" in metric_name(metric)) == lower
    assert score(metric, 0.5).endswith("%") == rate
    assert interval(metric, 0.25, 0.5) == ("[25.0, 50.0]" if rate else "[0.25, 0.50]")


def test_a_harness_task_goes_by_its_name() -> None:
    assert measure_name("lm_eval:gsm8k") == "gsm8k"
    assert measure_name("nq") == "NQ 3-shot"
