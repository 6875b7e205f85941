"""The page and the files beside it, from a run's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from veneer.records import CategoryMeasurement, Example, GapClosed, Measurement, Subject
from veneer.report import (
    bars,
    categories,
    data,
    drawing,
    evidence,
    figures,
    gains,
    palette,
    tables,
    verdicts,
)
from veneer.report.reading import Run
from veneer.report.series import Grid
from veneer.report.wording import (
    amount,
    duration,
    interval,
    measure_name,
    metric_name,
    plural,
    role_name,
    score,
    thousands,
)

SHOWN = 4  # answers of an example that stand open; the rest are folded


def folder_files(run: Run) -> dict[str, bytes]:
    """Every file of `run/report/`: relative name → bytes."""
    grid = Grid(run.measurements, run.facts, run.findings.gap_closed)
    drawn = figures.draw_all(grid, run.preferences, run.findings.support)
    found = _tables(grid, run, {one.id for one in drawn.figures})
    by_category, lines = categories.category_tables(grid, run.categories)
    drawn = figures.Drawn(drawn.figures, (*drawn.missing, *lines))
    files: dict[str, bytes] = {}
    for one in drawn.figures:
        for name, content in drawing.figure_files(one).items():
            files[f"figures/{name}"] = content
    both = drawing.files("veneer", lambda: bars.bars_figure(run.findings))
    files |= {f"figures/{name}": content for name, content in both.items()}
    texts = {
        "measurements": tables.rows_csv(Measurement, run.measurements),
        "gap_closed": tables.rows_csv(GapClosed, run.findings.gap_closed),
        "claims": tables.claims_csv(run.findings),
        **{table.id: tables.table_csv(table) for table in found if table.id != "support"},
    }
    if run.categories:
        texts["categories"] = tables.rows_csv(CategoryMeasurement, run.categories)
    if run.preferences:
        texts["preferences"] = verdicts.preference_csv(run.preferences)
    if run.findings.support:
        texts["support"] = gains.support_csv(run.findings.support)
    if ledger := data.ledger_csv(run.facts.corpora):
        texts["ledger"] = ledger
    files |= {f"tables/{name}.csv": text.encode() for name, text in texts.items()}
    page = render(context(run, grid, drawn, found, by_category, sorted(files)))
    return {"index.html": page.encode(), **files}


def _tables(grid: Grid, run: Run, drawn: set[str]) -> list[tables.Table]:
    found = [tables.score_table(grid, "capability")]
    found += verdicts.preference_tables(grid, run.preferences)
    if "figure3" not in drawn and not run.preferences:
        found.append(tables.score_table(grid, "preference"))
    found.append(gains.support_table(grid, run.findings.support))
    if "figure5" not in drawn:
        found.append(tables.score_table(grid, "toxicity"))
    if grid.bases:
        for base in reversed(grid.bases):
            name = "table2" if base == grid.largest else f"table2-{_slug(base)}"
            found.append(tables.table2(grid, base, name))
    if any(r.role == "student" and r.base is None for r in grid.rows) or not grid.bases:
        found.append(tables.table2(grid, None, "table2-unnamed" if grid.bases else "table2"))
    return [table for table in found if table is not None]


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in name)


def render(values: Mapping[str, Any]) -> str:
    """The page as HTML; everything that is not our own SVG or CSS is escaped."""
    from importlib.resources import files

    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    here = files("veneer.report")
    source = here.joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({"page": source}), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    css = here.joinpath("page.css").read_text(encoding="utf-8")
    css = css.replace("/*LIGHT*/", palette.stylesheet(dark=False))
    css = css.replace("/*DARK*/", palette.stylesheet(dark=True))
    environment.globals["css"] = Markup(css)
    environment.globals["panel_svg"] = lambda panel, row: Markup(
        drawing.panel_svg(panel, max(other.width for other in row))
    )
    return environment.get_template("page").render(**values)


def context(
    run: Run,
    grid: Grid,
    drawn: figures.Drawn,
    found: list[tables.Table],
    by_category: list[tables.Table],
    files: list[str],
) -> dict[str, Any]:
    """What the template shows, section by section."""
    facts, provenance = run.facts, run.provenance
    kind = str(provenance.get("kind", "study"))
    missing = list(drawn.missing)
    if not any(table.id == "table1" for table in found):
        missing.append("Table 1: no benchmark was measured in this run.")
    if not any(table.id.startswith("table2") for table in found):
        missing.append("Table 2: style was not measured in this run.")
    return {
        "name": facts.name,
        "kind": kind,
        "label": "" if facts.name.startswith(kind) else kind,
        "verdict": run.findings.verdict,
        "bars": bars.two_bars(run.findings),
        "alarms": evidence.alarms(run.findings),
        "gaps": evidence.gaps(run.findings),
        "claims": evidence.claims(run.findings, facts),
        "advice": evidence.advice(run.findings),
        "forecasts": evidence.forecasts(run.findings),
        "figures": drawn.figures,
        "tables": found,
        "by_category": by_category,
        "missing": missing,
        "seeds": plural(len(facts.seeds), "seed"),
        "many_seeds": len(facts.seeds) > 1,
        "examples": [_example(e, grid) for e in run.examples],
        "measured": measured(run.measurements),
        "data": data.data_section(facts.corpora),
        "count": plural(len(run.measurements), "measurement"),
        "notes": [*facts.notes, *(str(n) for n in _list(provenance.get("notes")))],
        "provenance": _provenance(provenance, run),
        "files": files,
    }


# ---- examples -------------------------------------------------------------------------------


def _example(example: Example, grid: Grid) -> dict[str, Any]:
    """Answers in reading order: teacher, the headline base and its best-fed students, others."""
    order = {"teacher": 0, "base": 1, "student": 2, "teacher-again": 3}

    def rank(answer: tuple[Subject, str]) -> tuple[Any, ...]:
        who = answer[0]
        other = who.base not in (None, grid.largest) and who.role != "teacher"
        places = {name: i for i, name in enumerate(grid.corpora)}
        return (
            other, order[who.role] if who.role != "teacher-again" else 3, who.seed,
            -(who.tokens or 0), places.get(who.corpus or "", len(places)), who.model,
        )  # fmt: skip

    answers = sorted(example.answers, key=rank)
    first = [a for a in answers if a[0].role == "teacher"][:1]
    first += [a for a in answers if a[0].role == "base"][:1]
    corpora: set[str | None] = set()
    for answer in answers:
        if answer[0].role == "student" and answer[0].corpus not in corpora and len(first) < SHOWN:
            corpora.add(answer[0].corpus)
            first.append(answer)
    rest = [a for a in answers if a not in first]
    if len(rest) <= SHOWN - len(first):
        first, rest = [*first, *rest], []
    return {
        "prompt": example.prompt,
        "category": example.category,
        "first": [_answer(*a) for a in first],
        "rest": [_answer(*a) for a in rest],
    }


def _answer(who: Subject, text: str) -> dict[str, str]:
    about = []
    if who.role == "student":
        fed = f"{amount(who.tokens)} tokens" if who.tokens else ""
        seed = f"seed {who.seed}" if who.seed else ""
        about = [who.base or "", who.corpus or "", fed, seed]
    elif who.role == "base":
        about = [who.base or ""]
    if who.role == "student" and who.corpus in (None, who.model):
        about = [who.model]
    said = " · ".join(x for x in about if x) or who.model
    said = "" if said == who.role else said
    return {"role": role_name(who.role), "key": who.role, "about": said, "text": text}


# ---- everything measured --------------------------------------------------------------------


def measured(rows: tuple[Measurement, ...]) -> list[dict[str, Any]]:
    """Every measurement in words, grouped by measure and metric in the order of the file."""
    order = {"teacher": 0, "teacher-again": 1, "base": 2, "student": 3}
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for row in rows:
        groups.setdefault((row.measure, row.metric), []).append(row)
    said = []
    for (measure, metric), members in groups.items():
        members.sort(
            key=lambda r: (order[r.role], r.base or "", r.corpus or "", r.tokens or 0, r.seed)
        )
        said.append(
            {
                "title": f"{measure_name(measure)}: {metric_name(metric)}",
                "code": f"{measure}/{metric}",
                "rows": [_measured_row(row) for row in members],
            }
        )
    return said


def _measured_row(row: Measurement) -> dict[str, Any]:
    return {
        "model": row.model,
        "role": role_name(row.role),
        "base": row.base or "–",
        "corpus": row.corpus or "–",
        "tokens": "–" if row.tokens is None else amount(row.tokens),
        "seed": row.seed,
        "value": score(row.metric, row.value),
        "interval": interval(row.metric, row.low, row.high),
        "n": thousands(row.n) if row.n or row.value is None else "not given",
        "unscored": thousands(row.unscored),
    }


# ---- provenance -----------------------------------------------------------------------------


def _provenance(provenance: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """The free-form provenance as text: YAML for what is nested, a table for steps."""
    steps: list[dict[str, Any]] = []
    for step in _list(provenance.get("steps")):
        if isinstance(step, dict):
            seconds = step.get("seconds")
            timed = isinstance(seconds, int | float)
            steps.append(
                {
                    "name": str(step.get("name", "?")),
                    "seconds": seconds if timed else 0.0,
                    "time": duration(seconds) if isinstance(seconds, int | float) else "–",
                    "inputs": _inputs(step.get("inputs")),
                    "fingerprint": str(step.get("fingerprint", ""))[:12],
                }
            )
    total = sum(step["seconds"] for step in steps)
    longest = max((step["seconds"] for step in steps), default=0.0)
    for step in steps:
        step["share"] = round(100 * step["seconds"] / longest, 1) if longest else 0.0
    bases = {
        base: f"{amount(size)} parameters" if size else "size unknown"
        for base, size in run.facts.parameters.items()
    }
    corpora = {
        name: fact.kind + (f", for {measure_name(fact.task)}" if fact.task else "")
        for name, fact in run.facts.corpora.items()
    }
    versions = provenance.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    return {
        "command": str(provenance.get("command", "")),
        "study": _yaml(provenance.get("study")),
        "joins": _yaml(provenance.get("joins")),
        "versions": {str(package): str(version) for package, version in versions.items()},
        "seeds": ", ".join(str(s) for s in _list(provenance.get("seeds")) or run.facts.seeds),
        "steps": steps,
        "total": duration(total) if steps else "",
        "bases": bases,
        "corpora": corpora,
    }


def _inputs(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(str(key) for key in value)
    return ", ".join(str(item) for item in _list(value))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _yaml(value: Any) -> str:
    if not value:
        return ""
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=88)).rstrip("\n")
