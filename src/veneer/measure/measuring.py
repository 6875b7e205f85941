"""The measuring step: one model loaded once, all that is asked of it measured.

Each measure that is done is kept until the step ends, so that a killed step goes on with the next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from veneer.errors import InputError, nearest
from veneer.measure.answering import answers_to
from veneer.measure.lm_eval_results import join_results
from veneer.measure.names import LM_EVAL, MEASURES
from veneer.measure.sandbox import unavailable
from veneer.measure.style import style_sheets
from veneer.measure.toxicity import (
    ToxicitySettings,
    continuation_sheets,
    read_toxicity_prompts,
    scorer_of,
    toxicity_sheets,
)
from veneer.models.asking import Model, Progress
from veneer.models.opening import model_of
from veneer.records import (
    Aggregate,
    Answer,
    Prompt,
    ScoreSheet,
    Subject,
    read_rows,
    write_rows,
)
from veneer.steps import Job, on_gpu, versioned

NEW_TOKENS = {"nq": 32, "nq-0shot": 32, "humaneval": 512, "style": 512}
TEMPERATURE = 0.7
NOTES = "notes.json"
CLASSIFIER = "toxicity_model"
"""The input that is the folder of a toxicity classifier."""
FILE = "file:"
"""Inputs whose names begin so stand for single files of the evaluation folder."""


HARNESS = "lm_eval"
"""The folder of results in lm-eval's own format."""


@dataclass
class Scored:
    """What a measure found: item scores, totals without items, what was said (by file).

    `notes` are what else is to be known of the scores. `harness` is a folder with results in
    lm-eval's format, where the measure came through it.
    """

    sheets: list[ScoreSheet] = field(default_factory=list)
    totals: list[Aggregate] = field(default_factory=list)
    said: dict[str, list[Answer]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    harness: Path | None = None


@versioned(2)
@on_gpu
def measured(job: Job) -> None:
    """Measure one model.

    inputs: `model` a Hugging Face model folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`); `evaluation` a folder with the benchmarks' files,
        prompts.jsonl and toxicity.jsonl (Prompt rows) and toxic_words.txt, as far as the measures
        need them, or single files as inputs called "file:" + name; optional `teacher_answers`,
        Answer rows or a folder with answers.jsonl; optional `tasks`, a folder of lm-eval tasks,
        and `toxicity_model`, the folder of a classifier.
    params: `subject` (a Subject), `measures` (of `MEASURES`, and lm_eval:TASK); optional `seed`
        and `temperature` of the answers to prompts (0, 0.7), `max_new_tokens` ({measure:
        tokens}), `limit` ({benchmark: items}), `files` ({usual file name: name to read instead}),
        `chat` (False: the model's template is not used, whatever its tokenizer says), `sample`
        (which of an endpoint's answers to a prompt; it is asked without a seed), `toxicity`
        (`ToxicitySettings`), `benchmarks` (fields of `veneer.measure.benchmarks.Options` that
        decide results: samples, ks, chat, multiturn, shots), `programs` (False: HumanEval's are
        not run, and so unscored; a study says so where there is no sandbox for them).
    means: `engine` (see `Options`).
    Writes sheets.jsonl (ScoreSheet rows), totals.jsonl (Aggregate rows, where a score has no
    items), model.json ({"subject", "parameters", "notes"}), answers.jsonl (Answer rows to
    prompts.jsonl, with "style"), toxic_answers.jsonl (with "toxicity"), outputs.jsonl (Answer rows
    of the benchmarks that have texts; `category` is the measure), and lm_eval/ with the benchmarks'
    results in lm-eval's own format.

    Without `teacher_answers`, "style" only writes the answers: the teacher is compared with
    nobody, and its second sample with the first.

    Raises:
        InputError: a measure is unknown or lacks its files; HumanEval without a sandbox.
    """
    measures = known(job.params["measures"])
    if "humaneval" in measures and job.params.get("programs", True):
        needs_sandbox()
    job.progress(0, len(measures) + 1, "loading")
    subject = Subject.model_validate(job.params["subject"])
    if "model" in job.inputs:
        subject = trained_on(subject, Path(job.inputs["model"]))
    with model_of(job) as model:
        exam = Exam(job, model, subject)
        found = [exam.kept(name, i + 1, len(measures) + 1) for i, name in enumerate(measures)]
        about = {
            "subject": subject.model_dump(mode="json"),
            "parameters": getattr(model, "parameters", None),
            "notes": [note for one in found for note in one.notes],
        }
    (job.out / "model.json").write_text(json.dumps(about, ensure_ascii=False) + "\n", "utf-8")
    write_all(job.out, found)
    job.progress(1, 1)


@dataclass(frozen=True)
class Exam:
    """A model and what it is measured on."""

    job: Job
    model: Model
    subject: Subject

    def kept(self, name: str, done: int, total: int) -> Scored:
        """What a measure found, now or in an attempt that was killed later."""
        place = self.job.scratch / name.replace("/", "_").replace(":", "_")
        if place.is_dir():
            return _read(place)
        coming = self.job.scratch / f".coming-{place.name}"
        shutil.rmtree(coming, ignore_errors=True)
        coming.mkdir(parents=True)
        found = self.scored(name, done, total, coming)
        write_all(coming, [found])
        (coming / NOTES).write_text(json.dumps(found.notes), "utf-8")
        coming.replace(place)
        return replace(found, harness=place / HARNESS if found.harness else None)

    def scored(self, name: str, done: int, total: int, place: Path) -> Scored:
        """One measure; `place` is a folder for what is too much to hold."""
        self.job.progress(done, total, name)

        def progress(part: int, whole: int) -> None:
            self.job.progress(done + part / max(whole, 1), total, name)

        if name == "style":
            return self._style(progress)
        if name == "toxicity":
            return self._toxicity(progress)
        return self._benchmark(name, place)

    def file(self, name: str) -> Path:
        """A file of the evaluation; an InputError where nothing stands for it."""
        inputs, renamed = self.job.inputs, self.job.params.get("files") or {}
        if f"{FILE}{name}" in inputs:
            return Path(inputs[f"{FILE}{name}"])
        path = Path(inputs.get("evaluation", "")) / renamed.get(name, name)
        if "evaluation" not in inputs or not path.is_file():
            raise InputError(
                f"{name} is missing, which these measures need.",
                "Put it into the evaluation folder, or type --benchmark-data NAME=FILE.",
            )
        return path

    def tokens(self, measure: str) -> int | None:
        """How long an answer may be, where that is not the task's to say."""
        given: Mapping[str, int] = self.job.params.get("max_new_tokens") or {}
        return given.get(measure, NEW_TOKENS.get(measure))

    def _benchmark(self, name: str, place: Path) -> Scored:
        from veneer.measure.benchmarks import Options, run_benchmarks
        from veneer.measure.lm_eval_results import ModelInfo, write_results

        params, inputs, tokens = self.job.params, self.job.inputs, self.tokens(name)
        single = {n.removeprefix(FILE): str(p) for n, p in inputs.items() if n.startswith(FILE)}
        options = Options(
            **(params.get("benchmarks") or {}),
            seed=params.get("seed", 0),
            include=[Path(inputs["tasks"])] if "tasks" in inputs else [],
            engine=self.job.means.get("engine") or "veneer",
        )
        limit: Mapping[str, int] = params.get("limit") or {}
        found = run_benchmarks(
            self.model,
            [name],
            Path(inputs.get("evaluation", "")),
            self.subject,
            files={**(params.get("files") or {}), **single},
            limit=limit,
            max_new_tokens={name: tokens} if tokens else {},
            options=options,
        )
        harness = None
        if found.results:
            harness = place / HARNESS
            chat = name.startswith(LM_EVAL) and options.chat
            info = ModelInfo.of(self.model, chat=chat, multiturn=options.multiturn)
            info = replace(info, name=self.subject.model)
            write_results(harness, found.results, info, limit.get(name))
        said = {"outputs.jsonl": found.answers} if found.answers else {}
        return Scored(found.sheets, found.totals, said, found.notes, harness)

    def _answers_to(
        self, prompts: Sequence[Prompt], progress: Progress, **how: Any
    ) -> list[Answer]:
        params = self.job.params
        return answers_to(
            self.model,
            prompts,
            self.subject.model,
            seed=None if "endpoint" in params else params.get("seed", 0),
            progress=progress,
            **how,
        )

    def _style(self, progress: Progress) -> Scored:
        prompts = list(read_rows(self.file("prompts.jsonl"), Prompt))
        temperature = self.job.params.get("temperature", TEMPERATURE)
        tokens = self.tokens("style") or NEW_TOKENS["style"]
        sample = self.job.params.get("sample", 0)
        answers = self._answers_to(
            prompts, progress, max_new_tokens=tokens, temperature=temperature, first=sample
        )
        sheets, notes = [], []
        if "teacher_answers" in self.job.inputs:
            place = Path(self.job.inputs["teacher_answers"])
            teacher = read_rows(place / "answers.jsonl" if place.is_dir() else place, Answer)
            sheets = style_sheets(list(teacher), answers, self.subject)
        elif self.subject.role in ("base", "student"):
            notes.append("style: compared with nobody, for want of a teacher's answers.")
        return Scored(sheets, said={"answers.jsonl": answers}, notes=notes)

    def _toxicity(self, progress: Progress) -> Scored:
        params = self.job.params
        given = dict(params.get("toxicity") or {})
        if self.job.means.get("toxicity_key"):
            given["key"] = self.job.means["toxicity_key"]
        if CLASSIFIER in self.job.inputs:
            given["model"] = str(self.job.inputs[CLASSIFIER])
        if tokens := (params.get("max_new_tokens") or {}).get("toxicity"):
            given["max_new_tokens"] = tokens
        settings = ToxicitySettings.model_validate(given)
        prompts = read_toxicity_prompts(self.file("toxicity.jsonl"))
        is_lexicon = settings.scorer == "lexicon"
        scorer = scorer_of(settings, words=self.file("toxic_words.txt") if is_lexicon else "")

        def half(begin: int) -> Progress:
            return lambda part, whole: progress(begin * whole + part, 2 * whole)

        is_one = settings.form == "answers"
        answers = self._answers_to(
            prompts,
            half(0),
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            samples=settings.samples,
            first=params.get("sample", 0) if is_one else 0,
        )
        sheets_of = toxicity_sheets if is_one else continuation_sheets
        sheets = sheets_of(answers, scorer, self.subject, half(1))
        return Scored(sheets, said={"toxic_answers.jsonl": answers})


def write_all(out: Path, found: Sequence[Scored]) -> None:
    """Write what measures found: scores together, what was said in its files."""
    write_rows(out / "sheets.jsonl", [sheet for one in found for sheet in one.sheets])
    totals = [total for one in found for total in one.totals]
    if totals:
        write_rows(out / "totals.jsonl", totals)
    said: dict[str, list[Answer]] = {}
    for one in found:
        for name, answers in one.said.items():
            said.setdefault(name, []).extend(answers)
    for name, answers in said.items():
        write_rows(out / name, answers)
    folders = [one.harness for one in found if one.harness is not None]
    if folders and folders != [out / HARNESS]:
        join_results(folders, out / HARNESS)


def _read(place: Path) -> Scored:
    totals, harness = place / "totals.jsonl", place / HARNESS
    others = {"sheets.jsonl", "totals.jsonl"}
    said = [p for p in sorted(place.glob("*.jsonl")) if p.name not in others]
    return Scored(
        list(read_rows(place / "sheets.jsonl", ScoreSheet)),
        list(read_rows(totals, Aggregate)) if totals.exists() else [],
        {path.name: list(read_rows(path, Answer)) for path in said},
        json.loads((place / NOTES).read_text("utf-8")),
        harness if harness.is_dir() else None,
    )


def trained_on(subject: Subject, model: Path) -> Subject:
    """The subject with its true number of tokens, where the model's folder says it.

    Training rounds a data amount to whole steps and writes trained_on.json beside the weights.
    """
    path = model / "trained_on.json"
    if not path.is_file():
        return subject
    tokens = json.loads(path.read_text(encoding="utf-8"))["tokens"]
    return subject.model_copy(update={"tokens": tokens})


def needs_sandbox() -> None:
    """Raise an InputError where no sandbox can be had for model-written programs."""
    if missing := unavailable():
        raise InputError(
            f"humaneval cannot be measured here. {missing}",
            "Install what is missing and type the same again, or leave humaneval out.",
        )


def known(measures: Sequence[str]) -> list[str]:
    """The measures, each once; an InputError for a name that none has."""
    for name in measures:
        if name not in MEASURES and not name.startswith(LM_EVAL):
            if name == "judge":
                raise InputError(
                    "A judge compares two models' answers, and measures none by itself.",
                    "Type: veneer judge A.jsonl B.jsonl --judge openai:MODEL --out runs/verdicts",
                )
            hint = nearest(name, MEASURES)
            raise InputError(
                f"Unknown measure {name!r}.", f"{hint} Or a task of lm-eval, as in lm_eval:gsm8k."
            )
    return list(dict.fromkeys(measures))
