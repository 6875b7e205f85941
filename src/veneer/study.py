"""From a study file to its graph of steps, and from the graph to results.

Reads like the paper's method: a teacher is *asked*, answers are *curated*, students *trained*
(all in `veneer.trial`), models *measured* and *judged*, and all of it *concluded*. Building the
graph runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veneer.conclusion import CORPUS, RATED, SUPPORT, concluded
from veneer.corpus.support import supported
from veneer.measure import measured
from veneer.measure.judging import judged
from veneer.measure.listing import listed
from veneer.measure.measuring import CLASSIFIER
from veneer.measure.sandbox import unavailable
from veneer.records import CorpusFacts, Subject
from veneer.spec import Study
from veneer.steps import SourceFile, Step
from veneer.trial import Source, Trial, Voice

AGAIN = 1_000_003  # keeps the seed of the teacher's second sample apart from every first
TEACHER = "teacher"


@dataclass(frozen=True)
class Examination:
    """What the models of one trial are measured on, and by whom they are judged."""

    trial: Trial

    @property
    def study(self) -> Study:
        """The study of the trial."""
        return self.trial.study

    @property
    def measures(self) -> list[str]:
        """What a model by itself is measured on: all but its comparison with the teacher."""
        return [name for name in self.study.measures if name != "judge"]

    def evaluation(self) -> Source:
        """The folder of what models are measured on."""
        if self.study.evaluation == "pocket":
            return self.trial.world()
        return SourceFile(self.trial.here / self.study.evaluation)

    # ---- measured ---------------------------------------------------------------------

    def measured(self, subject: Subject, model: Voice, measures: Sequence[str]) -> Step:
        """One model measured; all but the teacher are compared with the teacher's answers."""
        again, seed = subject.role == "teacher-again", self.trial.seed
        params: dict[str, Any] = {
            **model.params,
            "subject": subject,
            "measures": list(measures),
            "seed": AGAIN + seed if again else seed,
            "max_new_tokens": self.study.answer_tokens,
        }
        if model.params and again:
            params["sample"] = 1
        if subject.role == "base":
            params["chat"] = False
        means = dict(model.means)
        if "toxicity" in measures:
            scoring = self.study.toxicity
            params["toxicity"] = scoring.model_dump(mode="json", exclude={"key"})
            if scoring.key:  # a step with a key stays where the keys are
                means = {"key": scoring.key, **means, "toxicity_key": scoring.key}
        if "humaneval" in measures and unavailable():
            params["programs"] = False  # another result, to be had again once there is a sandbox
        if "humaneval" in measures and self.study.samples:
            params["benchmarks"] = {"samples": self.study.samples["humaneval"]}
        inputs = {**model.inputs, "evaluation": self.evaluation()}
        if self.study.tasks:
            inputs["tasks"] = SourceFile(self.trial.here / self.study.tasks)
        if subject.role != "teacher" and "style" in measures:
            inputs["teacher_answers"] = self.teacher()
        classifier = self.trial.here / self.study.toxicity.model
        if "toxicity" in measures and self.study.toxicity.model and classifier.is_dir():
            inputs[CLASSIFIER] = SourceFile(classifier)
            params["toxicity"]["model"] = classifier.name
        label = f"measured-{subject.model}-s{seed}"
        return Step(label, measured, params, inputs, seconds=4, means=means)

    def teacher(self) -> Step:
        """The teacher, whose answers everybody's style is compared with."""
        subject = Subject(model=TEACHER, role="teacher", seed=self.trial.seed)
        return self.measured(subject, self.trial.voice(self.study.teacher.model), self.measures)

    def teacher_again(self) -> Step:
        """The teacher's second answers, the ceiling of style."""
        subject = Subject(model="teacher-again", role="teacher-again", seed=self.trial.seed)
        return self.measured(subject, self.trial.voice(self.study.teacher.model), ["style"])

    def learners(self) -> list[tuple[Subject, Voice]]:
        """Every base, and its student of every corpus and amount."""
        study, seed = self.study, self.trial.seed
        found: list[tuple[Subject, Voice]] = []
        for base, given in study.bases.items():
            subject = Subject(model=base, role="base", base=base, tokens=0, seed=seed)
            found.append((subject, self.trial.voice(given)))
            for corpus in study.corpora:
                for amount in study.amounts_of(corpus):
                    subject = Subject(
                        model=f"{base}-{corpus}-{amount}",
                        role="student",
                        base=base,
                        corpus=corpus,
                        tokens=amount,
                        seed=seed,
                    )
                    model = Voice(inputs={"model": self.trial.student(base, corpus, amount)})
                    found.append((subject, model))
        return found

    # ---- judged -----------------------------------------------------------------------

    def judged(self, subject: Subject, answers: Step) -> Step | None:
        """A model's answers before the judge: beside the teacher's, and for their tone."""
        judge = self.study.judge
        assert judge is not None
        compares = "judge" in self.study.measures and subject.role in ("base", "student")
        if not compares and not judge.tone:
            return None
        voice = self.trial.voice(judge.model, judge)
        params = {**voice.params, "subject": subject, "settings": judge.deciding()}
        inputs: dict[str, Source] = {**voice.inputs, "answers": answers}
        if compares:
            params["against"] = TEACHER
            inputs["against"] = self.teacher()
        label = f"judged-{subject.model}-s{self.trial.seed}"
        return Step(label, judged, params, inputs, seconds=4, means=voice.means)

    # ---- supported --------------------------------------------------------------------

    def supported(self) -> dict[str, Step]:
        """By corpus, how near its questions come to each item of the benchmarks."""
        params = {"measures": self.measures}
        items = Step(f"items-s{self.trial.seed}", listed, params, {"evaluation": self.evaluation()})
        return {
            name: Step(
                f"support-{name}-s{self.trial.seed}",
                supported,
                {},
                {"items": items, "corpus": self.trial.asked_for(name)},
            )
            for name in self.study.corpora
        }

    # ---- all of it ---------------------------------------------------------------------

    def all(self) -> list[Step]:
        """Everything whose scores the conclusion rests on, support aside."""
        styled = "style" in self.measures
        steps = [self.teacher()]
        subjects = [Subject(model=TEACHER, role="teacher", seed=self.trial.seed)]
        if styled:
            steps.append(self.teacher_again())
            again = Subject(model="teacher-again", role="teacher-again", seed=self.trial.seed)
            subjects.append(again)
        for subject, model in self.learners():
            steps.append(self.measured(subject, model, self.measures))
            subjects.append(subject)
        if self.study.judge is None or not styled:
            return steps
        verdicts = [self.judged(who, said) for who, said in zip(subjects, steps, strict=True)]
        return [*steps, *(step for step in verdicts if step is not None)]


def graph(
    study: Study,
    here: Path,
    means: Mapping[str, Any] | None = None,
    rated: Sequence[Path] = (),
) -> Step:
    """The whole study as one inert step: the conclusion, and all that it rests on.

    `means`: how endpoints are reached; see `Trial`. `rated`: folders of what raters preferred.
    """
    every = [Trial(study, here, seed, means or {}) for seed in study.seeds]
    steps: dict[str, Source] = {}
    for trial in every:
        examination = Examination(trial)
        steps |= {step.name: step for step in examination.all()}
        for name, step in examination.supported().items():
            steps[f"{SUPPORT}{name}:{trial.seed}"] = step
    for name, corpus in study.corpora.items():
        if not corpus.mix:
            steps[f"{CORPUS}{name}"] = every[0].curated(name)
    for folder in rated:
        steps[f"{RATED}{folder.name}"] = SourceFile(folder)
    corpora = {
        name: CorpusFacts(kind=corpus.imitates, task=corpus.task)
        for name, corpus in study.corpora.items()
    }
    params = {"name": study.name, "seeds": list(study.seeds), "corpora": corpora}
    return Step("concluded", concluded, params, steps, seconds=6)
