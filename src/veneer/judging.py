"""`veneer judge`: two models' answers before a judge, or verdicts that others recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veneer.alone import PREPARED, model_folder, run_alone
from veneer.errors import InputError, SpecError
from veneer.findings import estimate
from veneer.measure.judging import JudgeSettings, judged
from veneer.measure.recorded import Outputs, read_outputs, split_claim, with_prompts
from veneer.measure.recorded.judged import (
    PairVerdicts,
    Raters,
    facts_of,
    recorded_verdicts,
)
from veneer.models.opening import Means, account_of
from veneer.models.resolve import parse_model
from veneer.records import (
    Comparison,
    Estimate,
    PreferenceReport,
    ScoreSheet,
    Subject,
    read_rows,
    write_rows,
)
from veneer.steps import RunFolder, told_when_full


def settings_of(*, model: str, base_url: str | None, key: str, **others: Any) -> JudgeSettings:
    """A judge as the command names it; raises SpecError where that cannot be."""
    is_endpoint = parse_model(model).scheme == "openai"
    if base_url and not is_endpoint:
        raise SpecError(
            f"{model} runs on this machine; it has no base URL.", "Leave --base-url out."
        )
    reached = {"base_url": base_url, "key": key} if is_endpoint else {}
    try:
        return JudgeSettings.model_validate({"model": model, **reached, **others})
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(
            f"--{'-'.join(map(str, first['loc'])) or 'judge'}: {first['msg']}.",
            "veneer judge --help lists what may be given.",
        ) from error


def judge_outputs(
    one: str,
    other: str,
    settings: JudgeSettings,
    out: Path,
    *,
    questions: Path | None = None,
    means: Means | None = None,
) -> dict[str, Any]:
    """How often a judge prefers one model's answers to another's; goes on where it was killed.

    Args:
        one, other: `FILE` or `NAME=FILE` of recorded outputs; rates are those of the first.
        settings: the judge, and how it is asked.
        out: gets comparisons.jsonl (every verdict, unparsed ones too), preferences.jsonl,
            sheets.jsonl.
        questions: the texts of questions that outputs know by `question_id` only.
        means: how the judge's endpoint is reached.

    Raises:
        InputError: nothing to compare, or a judge that cannot be asked.
        RunFolderError: `out` holds something else, or a process works in it.
    """
    mine, theirs = _outputs(one, other, questions)
    folder = RunFolder(out)
    with told_when_full(out), folder.locked():
        inputs, params, reached = _judge(settings, out, means or Means())
        place = out / PREPARED
        place.mkdir(exist_ok=True)
        write_rows(place / "answers.jsonl", mine.answers())
        write_rows(place / "against.jsonl", theirs.answers())
        inputs |= {"answers": place / "answers.jsonl", "against": place / "against.jsonl"}
        params |= {
            "subject": Subject(model=mine.model, role="student"),
            "against": theirs.model,
            "settings": settings.deciding(),
        }
        run_alone(
            folder, "judging", judged, params, inputs,
            last="sheets.jsonl", name=mine.model, means=reached,
        )  # fmt: skip
    return result_of(out)


def judge_recorded(
    files: Sequence[Path], outputs: Sequence[str] = (), model: str | None = None
) -> dict[str, Any]:
    """What files of recorded verdicts say in sum; see `veneer.measure.recorded.judged`.

    Args:
        files: verdicts, in any of the known shapes.
        outputs: `FILE` or `NAME=FILE` of the answers that were judged.
        model: whose rates; that of the first verdict's second model unless given.
    """
    found = recorded_verdicts(files, [Path(given) for given in outputs], model)
    lines: list[str] = []
    for pair in found.pairs:
        lines += [*text_of(pair.report), *_rated(pair), ""]
    if found.raters:
        lines.append(_voted(found.raters))
    if found.agreement is not None:
        lines.append(f"The judge says what most raters say on {100 * found.agreement:.1f} %.")
    if found.unresolved:
        lines.append(f"{found.unresolved:,} verdicts are on answers that nobody gave.")
    lines += found.notes
    return {**found.as_json(), "text": "\n".join(lines).strip()}


def _rated(pair: PairVerdicts) -> list[str]:
    if pair.score_sums is None:
        return []
    sums = ", ".join(f"{model} {total:g}" for model, total in pair.score_sums.items())
    share = "" if pair.score_ratio is None else f" ({100 * pair.score_ratio:.1f} %)"
    return [f"sums of ratings      {sums}{share}"]


def _voted(raters: Raters) -> str:
    majority = ", ".join(f"{name} {count:,}" for name, count in raters.majority.items())
    return (
        f"Majority of {raters.raters:g} raters an item: {majority}; "
        f"unanimous on {raters.unanimous:,}."
    )


def result_of(out: Path) -> dict[str, Any]:
    """What a finished judging found, JSON-able, with `text` for people."""
    (report,) = read_rows(out / "preferences.jsonl", PreferenceReport)
    asked = sum(1 for _ in read_rows(out / "comparisons.jsonl", Comparison))
    tones = [
        sheet
        for sheet in read_rows(out / "sheets.jsonl", ScoreSheet)
        if sheet.metric == "authoritative_tone"
    ]
    found = {"out": str(out), **facts_of(report), "verdicts": asked}
    lines = text_of(report)
    for sheet in tones:
        number = estimate(sheet)
        found["authoritative_tone"] = number.model_dump(mode="json")
        lines.append(f"In an authoritative tone: {said(number)}")
    return {**found, "text": "\n".join([*lines, f"Verdicts: {out / 'comparisons.jsonl'}"])}


def text_of(report: PreferenceReport) -> list[str]:
    """A report in lines for people."""
    by = f" by {report.judge}" if report.judge else ""
    error = f", standard error {100 * report.standard_error:.2f}" if report.standard_error else ""
    lines = [
        f"{report.subject.model} against {report.against}{by}",
        f"win rate             {said(report.win_rate)}{error}",
        f"won, tied, lost      {report.wins:,}, {report.ties:,}, {report.losses:,}",
        f"win or tie           {said(report.win_or_tie_rate)}",
    ]
    for name, number in (
        ("at equal lengths", report.length_controlled),
        ("first shown wins", report.first_position),
        ("orders agree", report.orders_agree),
    ):
        if number is not None:
            lines.append(f"{name:<20} {said(number)}")
            lines += [f"{'':<20} ({number.note})"] * bool(number.note and number.value is not None)
    lines += [f"Bias: {sentence}" for sentence in report.biases]
    lines += [f"{count:,} unscored: {reason}" for reason, count in sorted(report.reasons.items())]
    return lines


def said(number: Estimate) -> str:
    """A share in words: percent, interval, n, unscored."""
    if number.value is None:
        return f"undefined ({number.note})" if number.note else "undefined"
    bounds = "no interval"
    if number.low is not None and number.high is not None:
        bounds = f"[{100 * number.low:.1f}, {100 * number.high:.1f}]"
    lost = f", {number.unscored:,} unscored" if number.unscored else ""
    return f"{100 * number.value:.1f} % {bounds}  n {number.n:,}{lost}"


def _outputs(one: str, other: str, questions: Path | None) -> tuple[Outputs, Outputs]:
    given = []
    for spec in (one, other):
        name, path = split_claim(spec)
        given.append(read_outputs(path, claimed=name))
    mine, theirs = with_prompts(given, questions)
    if mine.model == theirs.model:
        if mine.path.resolve() == theirs.path.resolve():
            raise InputError(
                f"{mine.path} is compared with itself.", "Give the answers of two models."
            )
        theirs = replace(theirs, model=f"{theirs.model} ({theirs.path.name})")
    if not {a.prompt for a in mine.answers()} & {a.prompt for a in theirs.answers()}:
        raise InputError(
            f"{mine.path} and {theirs.path} have no prompt in common.",
            "Give answers to the same prompts; where they know questions by id only, add "
            "--questions FILE.",
        )
    return mine, theirs


def _judge(
    settings: JudgeSettings, out: Path, means: Means
) -> tuple[dict[str, Path], dict[str, Any], dict[str, Any]]:
    """(inputs, params, means) of the model that judges."""
    if Path(settings.model).is_dir():
        return {"model": Path(settings.model)}, {}, {}
    ref = parse_model(settings.model)
    if ref.scheme == "openai":
        endpoint = {"model": ref.name, "base_url": settings.base_url}
        reached = replace(means, key=settings.key, collection=account_of(out))
        return {}, {"endpoint": endpoint}, asdict(reached)
    return {"model": model_folder(settings.model, out, "asked")[1]}, {}, {}
