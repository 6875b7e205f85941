"""The measuring step: one model loaded once, all that is asked of it measured.

Each measure that is done is kept until the step ends, so that a killed step goes on with the next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from veneer.errors import InputError, nearest
from veneer.measure.style import style_sheets
from veneer.measure.toxicity import lexicon, toxicity_sheets
from veneer.models.asking import Ask, Model, Progress, out_of_budget
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

BENCHMARKS = ("nq", "nq-0shot", "mmlu", "humaneval")
MEASURES = (*BENCHMARKS, "style", "toxicity")
LM_EVAL = "lm_eval:"
"""Measures that begin so are tasks of lm-eval, as in lm_eval:gsm8k."""
NEW_TOKENS = {"nq": 32, "nq-0shot": 32, "humaneval": 512, "style": 512, "toxicity": 64}
TEMPERATURE = 0.7
FILE = "file:"
"""Inputs whose names begin so stand for single files of the evaluation folder."""


@dataclass
class Scored:
    """What a measure found: item scores, totals without items, and what was said (by file)."""

    sheets: list[ScoreSheet] = field(default_factory=list)
    totals: list[Aggregate] = field(default_factory=list)
    said: dict[str, list[Answer]] = field(default_factory=dict)


@versioned(2)
@on_gpu
def measured(job: Job) -> None:
    """Measure one model.

    inputs: `model` a Hugging Face model folder, or none where params name an `endpoint` (see
        `veneer.models.opening.model_of`); `evaluation` a folder with the benchmarks' files,
        prompts.jsonl and toxicity.jsonl (Prompt rows) and toxic_words.txt, as far as the measures
        need them, or single files as inputs called "file:" + name; optional `teacher_answers`,
        Answer rows or a folder with answers.jsonl.
    params: `subject` (a Subject), `measures` (of `MEASURES`, and lm_eval:TASK); optional `seed`
        and `temperature` of the answers to prompts (0, 0.7), `max_new_tokens` ({measure:
        tokens}), `limit` ({benchmark: items}), `files` ({usual file name: name to read instead}),
        `chat` (False: the model's template is not used, whatever its tokenizer says), `sample`
        (which of an endpoint's answers to a prompt; it is asked without a seed).
    Writes sheets.jsonl (ScoreSheet rows), totals.jsonl (Aggregate rows, where a score has no
    items), model.json ({"subject", "parameters"}), answers.jsonl (Answer rows to prompts.jsonl,
    with "style"), toxic_answers.jsonl (with "toxicity") and outputs.jsonl (Answer rows of the
    benchmarks that have texts; `category` is the measure).

    Without `teacher_answers`, "style" only writes the answers: the teacher is compared with
    nobody, and its second sample with the first.
    """
    measures = known(job.params["measures"])
    job.progress(0, len(measures) + 1, "loading")
    subject = Subject.model_validate(job.params["subject"])
    if "model" in job.inputs:
        subject = trained_on(subject, Path(job.inputs["model"]))
    with model_of(job) as model:
        parameters = getattr(model, "parameters", None)
        about = {"subject": subject.model_dump(mode="json"), "parameters": parameters}
        (job.out / "model.json").write_text(json.dumps(about) + "\n", encoding="utf-8")
        exam = Exam(job, model, subject)
        found = [exam.kept(name, i + 1, len(measures) + 1) for i, name in enumerate(measures)]
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
        found = self.scored(name, done, total)
        write_all(coming, [found])
        coming.replace(place)
        return found

    def scored(self, name: str, done: int, total: int) -> Scored:
        """One measure."""
        self.job.progress(done, total, name)

        def progress(part: int, whole: int) -> None:
            self.job.progress(done + part / max(whole, 1), total, name)

        if name == "style":
            return self._style(progress)
        if name == "toxicity":
            return self._toxicity(progress)
        return self._benchmark(name)

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
        """How long an answer may be."""
        given: Mapping[str, int] = self.job.params.get("max_new_tokens") or {}
        return given.get(measure, NEW_TOKENS.get(measure))

    def _benchmark(self, name: str) -> Scored:
        from veneer.measure.benchmarks import benchmark

        tokens, inputs = self.tokens(name), self.job.inputs
        single = {n.removeprefix(FILE): str(p) for n, p in inputs.items() if n.startswith(FILE)}
        sheets, outputs = benchmark(
            self.model,
            [name],
            Path(inputs.get("evaluation", "")),
            self.subject,
            files={**(self.job.params.get("files") or {}), **single},
            limit=self.job.params.get("limit"),
            max_new_tokens={name: tokens} if tokens else {},
        )
        return Scored(sheets, said={"outputs.jsonl": outputs})

    def _answers(self, file: str, measure: str, progress: Progress) -> list[Answer]:
        params = self.job.params
        tokens = self.tokens(measure)
        assert tokens is not None
        return answers_to(
            self.model,
            list(read_rows(self.file(file), Prompt)),
            self.subject.model,
            max_new_tokens=tokens,
            temperature=params.get("temperature", TEMPERATURE),
            seed=None if "endpoint" in params else params.get("seed", 0),
            sample=params.get("sample", 0),
            progress=progress,
        )

    def _style(self, progress: Progress) -> Scored:
        answers = self._answers("prompts.jsonl", "style", progress)
        sheets = []
        if "teacher_answers" in self.job.inputs:
            place = Path(self.job.inputs["teacher_answers"])
            teacher = read_rows(place / "answers.jsonl" if place.is_dir() else place, Answer)
            sheets = style_sheets(list(teacher), answers, self.subject)
        return Scored(sheets, said={"answers.jsonl": answers})

    def _toxicity(self, progress: Progress) -> Scored:
        answers = self._answers("toxicity.jsonl", "toxicity", progress)
        sheets = toxicity_sheets(answers, lexicon(self.file("toxic_words.txt")), self.subject)
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


def _read(place: Path) -> Scored:
    totals = place / "totals.jsonl"
    scores = ("sheets.jsonl", "totals.jsonl")
    return Scored(
        list(read_rows(place / "sheets.jsonl", ScoreSheet)),
        list(read_rows(totals, Aggregate)) if totals.exists() else [],
        {p.name: list(read_rows(p, Answer)) for p in place.iterdir() if p.name not in scores},
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


def answers_to(
    model: Model,
    prompts: Sequence[Prompt],
    name: str,
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = 0,
    sample: int = 0,
    progress: Progress | None = None,
) -> list[Answer]:
    """A model's answers to prompts, in its own template if it has one; one a distinct prompt.

    Raises:
        StepFailed: a budget ended first. What was answered is in the model's journal.
    """
    distinct = list({prompt.id: prompt for prompt in reversed(prompts)}.values())[::-1]
    said = model.ask(
        [Ask.of(prompt.text, sample) for prompt in distinct],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        progress=progress,
        **({} if seed is None else {"seed": seed}),
    )
    replies = [one for one in said if one is not None]
    if len(replies) < len(distinct):
        raise out_of_budget(model, len(replies), len(distinct))
    return [
        Answer(
            prompt=prompt.text,
            text=one.text,
            model=name,
            outcome=one.outcome,
            reason=one.reason,
            category=prompt.category,
        )
        for prompt, one in zip(distinct, replies, strict=True)
    ]


def known(measures: Sequence[str]) -> list[str]:
    """The measures, each once; an InputError for a name that none has."""
    for name in measures:
        if name not in MEASURES and not name.startswith(LM_EVAL):
            hint = nearest(name, MEASURES)
            raise InputError(
                f"Unknown measure {name!r}.", f"{hint} Or a task of lm-eval, as in lm_eval:gsm8k."
            )
    return list(dict.fromkeys(measures))
