"""Run benchmarks on a model: tasks loaded, asked through lm-eval, item scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from veneer.errors import InputError, nearest
from veneer.measure import humaneval
from veneer.measure.asked_harness import AskedHarness
from veneer.measure.benchmarks import named
from veneer.measure.benchmarks.own import BENCHMARKS, TASKS, given_files
from veneer.measure.benchmarks.own_sheets import answers_of, own_sheets, unheard
from veneer.measure.benchmarks.quiet import drawing_from, failing, quiet
from veneer.measure.benchmarks.sheets import SILENT, sheets_of, silent_sheets
from veneer.measure.harness import Harness
from veneer.measure.lm_eval_results import merged, with_standard_errors
from veneer.measure.names import LM_EVAL
from veneer.models.asking import Model
from veneer.models.local import LocalModel
from veneer.records import Aggregate, Answer, ScoreSheet, Subject


@dataclass(frozen=True)
class Options:
    """How benchmarks are run.

    samples: programs a HumanEval problem; more than one are drawn at temperature 0.8, p = 0.95.
    ks: the k of pass@k; a k above `samples` is skipped, and a note says so.
    seed: of what is drawn.
    chat: ask lm_eval: tasks in the model's template, as lm-eval's --apply_chat_template does;
        `multiturn`: their worked examples are earlier turns of the conversation.
    include: folders with lm-eval tasks of the user's.
    shots: lm_eval: measure → worked examples, in place of the task's own number.
    bootstrap: resamples behind the standard error of a total that is no mean (lm-eval's command
        line takes 100,000).
    engine: "vllm" runs the model's folder in vLLM instead.
    """

    samples: int = 1
    ks: Sequence[int] = (1, 10, 100)
    seed: int = 0
    chat: bool = False
    multiturn: bool = True
    include: Sequence[Path] = ()
    shots: Mapping[str, int] = field(default_factory=dict)
    bootstrap: int = 1000
    engine: Literal["veneer", "vllm"] = "veneer"

    @property
    def pass_ks(self) -> list[int]:
        """The k of pass@k that the samples tell."""
        return [k for k in self.ks if k <= self.samples]


@dataclass
class Found:
    """What benchmarks found: item scores, totals without items, texts, and what is to be said.

    `results` is in lm-eval's own form, for `veneer.measure.lm_eval_results.write_results`.
    """

    sheets: list[ScoreSheet] = field(default_factory=list)
    totals: list[Aggregate] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)


def run_benchmarks(
    model: LocalModel | Model,
    measures: Sequence[str],
    data: Path,
    subject: Subject,
    *,
    files: Mapping[str, str] | None = None,
    limit: Mapping[str, int] | None = None,
    max_new_tokens: Mapping[str, int] | None = None,
    options: Options | None = None,
) -> Found:
    """Score a model on measures: a sheet a metric, and the texts that it wrote.

    A model that can only be asked is asked in its chat; what it fails to answer is unscored, and
    so is every item that needs log-probabilities of given texts ("mmlu" and its like).

    Args:
        measures: of `BENCHMARKS`, or "lm_eval:" and the name of a task, group or tag.
        data: folder with the benchmarks' files.
        files: file name → the name to read in its place.
        limit: measure → how many items, from the first (of each task of a group).
        max_new_tokens: measure → tokens an answer may have.
    """
    options = options or Options()
    for name in measures:
        if name not in BENCHMARKS and not name.startswith(LM_EVAL):
            raise InputError(
                f"Unknown benchmark {name!r}.",
                f"{nearest(name, BENCHMARKS)} lm_eval:NAME takes any task of lm-eval.",
            )
    bench = _Bench(
        model,
        data,
        subject,
        files or {},
        limit or {},
        max_new_tokens or {},
        options,
        engine=_vllm(model) if options.engine == "vllm" else None,
    )
    found = Found()
    own = [name for name in dict.fromkeys(measures) if name in BENCHMARKS]
    with quiet():
        if own:
            bench.own(own, found)
        for name in dict.fromkeys(measures):
            if name not in BENCHMARKS:
                bench.named(name, found)
    order = {name: place for place, name in enumerate(dict.fromkeys(measures))}
    found.sheets.sort(key=lambda sheet: order.get(sheet.measure, 0))
    return found


@dataclass(frozen=True)
class _Bench:
    """A model and how it is benchmarked."""

    model: LocalModel | Model
    data: Path
    subject: Subject
    files: Mapping[str, str]
    limit: Mapping[str, int]
    tokens: Mapping[str, int]
    options: Options
    engine: Any = None

    @property
    def is_local(self) -> bool:
        """Whether log-probabilities of given texts can be had."""
        return isinstance(self.model, LocalModel)

    def given(self, name: str) -> dict[str, Any]:
        """A benchmark's files, checked to be there."""
        return given_files(name, self.data, self.files, self.limit.get(name))

    def harness(
        self, tokens: Mapping[str, int], shorter: Mapping[str, Callable[..., str | None]]
    ) -> Any:
        """lm-eval's view of the model."""
        if self.engine is not None:
            self.engine.max_new_tokens = dict(tokens)
            return self.engine
        if isinstance(self.model, LocalModel):
            return Harness(self.model, max_new_tokens=tokens, shorter=shorter)
        return AskedHarness(self.model, tokens)

    def own(self, names: Sequence[str], found: Found) -> None:
        """The paper's benchmarks, all in one go."""
        from lm_eval.evaluator import evaluate

        options = self.options
        silent = [name for name in names if name == "mmlu" and not self.is_local]
        found.sheets += [unheard(self.given(name), self.subject) for name in silent]
        names = [name for name in names if name not in silent]
        if not names:
            return
        is_chat = not isinstance(self.model, LocalModel) or self.model.is_chat
        chosen = {name: BENCHMARKS[name].task(is_chat) for name in names}
        # Members of a group take overrides; a task on its own does not.
        members = [{"task": task, **self._settings(name, found)} for name, task in chosen.items()]
        tasks = _own_manager().load([{"group": "veneer", "task": members}])["tasks"]
        harness = self.harness(
            {chosen[n]: count for n, count in self.tokens.items() if n in chosen},
            {task: BENCHMARKS[name].shorter for name, task in chosen.items()},
        )
        got: Any = evaluate(harness, {"tasks": tasks}, bootstrap_iters=0, log_samples=True)
        lost: Mapping[str, str] = getattr(harness, "unscored", {})
        for name, task in chosen.items():
            samples = sorted(got["samples"][task], key=lambda sample: sample["doc_id"])
            found.sheets += own_sheets(name, samples, self.subject, lost, options.pass_ks)
            if name != "mmlu":
                found.answers += answers_of(name, samples, self.subject)
            found.notes += _shortened(name, task, harness)
        found.results = merged(found.results, with_standard_errors(got))

    def _settings(self, name: str, found: Found) -> dict[str, Any]:
        """What a benchmark's task is told beside its YAML."""
        given = self.given(name)
        if name != "humaneval":
            return {"dataset_kwargs": given}
        count, ks = self.options.samples, self.options.pass_ks
        skipped = [k for k in self.options.ks if k > count]
        if count > 1 and skipped:
            found.notes.append(
                f"humaneval: {', '.join(f'pass@{k}' for k in skipped)} skipped, which "
                f"{count} samples a problem do not tell."
            )
        metrics = [
            {"metric": f"pass@{k}", "aggregation": "nanmean", "higher_is_better": True} for k in ks
        ]
        settings = {
            "dataset_kwargs": {**given, "ks": ks},
            "metric_list": metrics,
            "repeats": count,
        }
        if count > 1:
            is_chat = not isinstance(self.model, LocalModel) or self.model.is_chat
            drawn = {**humaneval.SAMPLED, "seed": self.options.seed, "max_gen_toks": 512}
            stops: list[str] = [] if is_chat else list(humaneval.STOPS)
            asked = {"ask": True} if is_chat else {}
            settings["generation_kwargs"] = {"until": stops, **drawn, **asked}
        return settings

    def named(self, measure: str, found: Found) -> None:
        """A task, group or tag of lm-eval."""
        from lm_eval.evaluator import evaluate

        name, options = measure.removeprefix(LM_EVAL), self.options
        limit = self.limit.get(measure)
        tasks, groups = named.load(name, options.include, options.shots.get(measure))
        if not self.is_local:
            mute = {k: t for k, t in tasks.items() if t.OUTPUT_TYPE != "generate_until"}
            if mute:
                found.sheets += silent_sheets(measure, mute, self.subject, limit)
                tasks = {k: t for k, t in tasks.items() if k not in mute}
                groups = {}
            if mute and tasks:
                found.notes.append(f"{measure}: {len(mute)} tasks of it cannot be asked: {SILENT}.")
            if not tasks:
                return
        tokens = self.tokens.get(measure)
        harness = self.harness({} if tokens is None else dict.fromkeys(tasks, tokens), {})
        with drawing_from(options.seed), failing(name):
            got: Any = evaluate(
                harness,
                {"tasks": tasks, "groups": groups},
                limit=limit,
                bootstrap_iters=options.bootstrap,
                log_samples=True,
                apply_chat_template=options.chat,
                fewshot_as_multiturn=options.chat and options.multiturn,
            )
        lost: Mapping[str, str] = getattr(harness, "unscored", {})
        sheets, totals = sheets_of(measure, tasks, got, self.subject, lost)
        if lost and totals:
            left_out = ", ".join(sorted({total.metric for total in totals}))
            found.notes.append(f"{measure}: {left_out} left out, since answers are missing.")
            totals = []
        found.sheets += sheets
        found.totals += totals
        for key, task in tasks.items():
            if task.OUTPUT_TYPE == "generate_until":
                samples = _first_filter(got["samples"][key])
                found.answers += answers_of(measure, samples, self.subject)
        found.notes += _shortened(measure, measure, harness)
        found.results = merged(found.results, got)


@lru_cache(maxsize=1)
def _own_manager() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(TASKS), include_defaults=False)


def _vllm(model: LocalModel | Model) -> Any:
    from veneer.measure.vllm_engine import vllm_harness

    if not isinstance(model, LocalModel):
        raise InputError(
            f"{model.name} is behind an endpoint; vLLM runs model folders.",
            "Leave out the engine, or name a folder.",
        )
    return vllm_harness(model.name)


def _first_filter(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One sample a document: they are repeated for every filter."""
    by_doc = {sample["doc_id"]: sample for sample in reversed(samples)}
    return [by_doc[doc] for doc in sorted(by_doc)]


def _shortened(measure: str, task: str, harness: Any) -> list[str]:
    """What did not go to the model as the protocol has it."""
    counts: Mapping[str, int] = getattr(harness, "shortened", {})
    cut: Mapping[str, int] = getattr(harness, "cut", {})
    notes = []
    if counts.get(task):
        notes.append(f"{measure}: {counts[task]} prompts were asked with fewer worked examples.")
    lost = sum(cut.values()) if task == measure else 0
    if lost:
        notes.append(
            f"{measure}: {lost} prompts lost their beginning, which the model's "
            "context does not hold (as in lm-eval)."
        )
    return notes
