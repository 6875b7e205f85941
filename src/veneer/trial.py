"""One seed of a study up to its students: a teacher is *asked*, answers *curated*, students
*trained*. All of it inert: building it runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from veneer.corpus.blend import blend
from veneer.corpus.curate import curate
from veneer.corpus.mix import mix
from veneer.models.resolve import fetch_model, local_folder, parse_model
from veneer.pocket import make_world, pretrain, tune_teacher
from veneer.spec import Corpus, Study
from veneer.spec.parts import Choice, Synthesis
from veneer.steps import Part, SourceFile, Step
from veneer.student.refine.step import REFINED, refine
from veneer.student.train import train
from veneer.teacher.choosing import choose
from veneer.teacher.collect import collect
from veneer.teacher.synthesize import synthesize

Source = Step | Part | SourceFile
SHARDS = 2  # parts a long collection is asked in, so that two processes can share it
DEVICES = ("devices", "tensor_parallel", "rows", "recompute", "keep_every")


class Reached(Protocol):
    """Where an endpoint is, and the name of the variable that holds its key."""

    @property
    def base_url(self) -> str | None:
        """Its address, or None for the environment's."""

    @property
    def key(self) -> str:
        """The variable's name."""


@dataclass(frozen=True)
class Voice:
    """A model as a step asks it: a folder among its inputs, or an endpoint and how to reach it."""

    inputs: dict[str, Source] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    means: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One seed of a study: its parts as inert steps.

    `means` say how endpoints are reached (`veneer.models.opening.Means`) and decide no result.
    """

    study: Study
    here: Path
    seed: int
    means: Mapping[str, Any] = field(default_factory=dict)

    def file(self, given: str) -> Source:
        """A file of the study: beside the study file, or a part of the embedded world."""
        scheme, _, name = given.partition(":")
        if scheme == "pocket":
            return self.world() / name
        return SourceFile(self.here / given)

    # ---- models ---------------------------------------------------------------------

    def world(self) -> Step:
        """The embedded study's world of this seed."""
        assert self.study.pocket is not None
        params = self.study.pocket.world_params(self.seed)
        return Step(f"world-s{self.seed}", make_world, params, seconds=6, shared=True)

    def model(self, given: str) -> Source:
        """The folder of a model that was not made by imitation."""
        ref = parse_model(given)
        if ref.scheme == "hf":
            folder = local_folder(ref)
            if folder is not None:
                return SourceFile(folder)
            return (
                Step(f"fetched-{ref.name.replace('/', '--')}", fetch_model, {"id": ref.name})
                / "model"
            )
        scale = self.study.pocket
        assert scale is not None
        pretrained = Step(
            f"pretrained-{ref.name}-s{self.seed}",
            pretrain,
            scale.pretrain_params(ref.name, self.seed),
            {"world": self.world()},
            seconds=70 if ref.name == "teacher" else 40,
            shared=True,
        )
        if ref.name != "teacher":
            return pretrained
        return Step(
            f"teacher-s{self.seed}",
            tune_teacher,
            scale.tune_params(self.seed),
            {"world": self.world(), "pretrained": pretrained},
            seconds=40,
            shared=True,
        )

    def voice(self, given: str, at: Reached | None = None) -> Voice:
        """A model to be asked. What is paid for at an endpoint is the same for all seeds.

        `at` says how an endpoint is reached, where it is not as the teacher is.
        """
        ref = parse_model(given)
        if ref.scheme != "openai":
            return Voice(inputs={"model": self.model(given)})
        place, budget = at or self.study.teacher, self.study.budget
        spending = {"usd": budget.usd, "tokens": budget.tokens}
        reached = {name: how for name, how in self.means.items() if name not in DEVICES}
        return Voice(
            params={"endpoint": {"model": ref.name, "base_url": place.base_url}},
            means={"key": place.key, **spending, **reached},
        )

    # ---- imitation data -------------------------------------------------------------

    def curated(self, name: str) -> Step:
        """A corpus of imitation data: asked, imported or synthesised, then cleaned."""
        corpus = self.study.corpora[name]
        return self.cleaned(name, corpus, self.said(name, corpus))

    def cleaned(self, name: str, corpus: Corpus, said: Mapping[str, Source]) -> Step:
        """What was said without repeats and without what the evaluation asks."""
        against = {f"against{i}": source for i, source in enumerate(self.kept_out())}
        params = {"curation": corpus.curation}
        return Step(f"corpus-{name}-s{self.seed}", curate, params, {**said, **against}, seconds=2)

    def mixed(self, name: str) -> Step:
        """The corpus as it is trained on: a mixture, or with text to replay, where asked for."""
        shares, replay = self.study.corpora[name].mix, self.study.corpora[name].replay
        if shares:
            parts: dict[str, Source] = {part: self.mixed(part) for part in shares}
            drawn = {"shares": shares, "seed": self.seed}
            return Step(f"blended-{name}-s{self.seed}", blend, drawn, parts)
        if replay is None:
            return self.curated(name)
        inputs = {"corpus": self.curated(name), "replay": self.file(replay.text)}
        params = {"ratio": replay.ratio, "seed": self.seed}
        return Step(f"mixed-{name}-s{self.seed}", mix, params, inputs)

    def asked_for(self, name: str) -> Step:
        """The corpus as far as its questions go: without text to replay."""
        return self.mixed(name) if self.study.corpora[name].mix else self.curated(name)

    def said(self, name: str, corpus: Corpus) -> dict[str, Source]:
        """What the teacher said for a corpus, in parts."""
        if corpus.import_:
            return {f"file{i}": self.file(path) for i, path in enumerate(corpus.import_)}
        if corpus.synthesize:
            return {"pairs": self.synthesized(name, corpus, corpus.synthesize) / "pairs.jsonl"}
        assert corpus.collect is not None
        prompts = self.file(corpus.collect)
        if corpus.choose is None:
            return self.asked(name, corpus, prompts)
        return self.chosen(name, corpus, corpus.choose, prompts)

    def synthesized(self, name: str, corpus: Corpus, task: Synthesis) -> Step:
        """Task data that the teacher writes."""
        teacher = self.voice(self.study.teacher.model)
        params: dict[str, Any] = {
            **self.signed(corpus),
            "count": task.count,
            "requests": task.requests,
            "temperature": task.temperature,
            "seed": self.seed if teacher.inputs else self.study.seeds[0],
            "template": task.template,
            "values": task.values,
        }
        inputs = {**teacher.inputs, "seeds": self.file(task.seeds)}
        label = f"synthesized-{name}-s{self.seed}"
        return Step(label, synthesize, params, inputs, seconds=10, means=teacher.means)

    def signed(self, corpus: Corpus) -> dict[str, Any]:
        """Who answers, and how much it may say."""
        teacher = self.voice(self.study.teacher.model)
        name, limit = self.study.teacher.model, corpus.answer_tokens
        return {**teacher.params, "name": name, "max_new_tokens": limit}

    def asked(self, name: str, corpus: Corpus, prompts: Source) -> dict[str, Source]:
        """The teacher's answers to prompts; those of an endpoint are bought once for all seeds."""
        teacher = self.voice(self.study.teacher.model)
        params = {**self.signed(corpus), "temperature": corpus.temperature, "samples": 1}
        inputs = {**teacher.inputs, "prompts": prompts}
        if not teacher.inputs:
            step = Step(f"asked-{name}", collect, params, inputs, seconds=60, means=teacher.means)
            return {"answers": step / "answers.jsonl"}
        parts: dict[str, Source] = {}
        for shard in range(SHARDS):
            drawn = {"seed": SHARDS * self.seed + shard, "shard": [shard, SHARDS]}
            label = f"asked-{name}-{shard + 1}of{SHARDS}-s{self.seed}"
            step = Step(label, collect, {**params, **drawn}, inputs, seconds=12)
            parts[f"answers{shard}"] = step / "answers.jsonl"
        return parts

    def chosen(self, name: str, corpus: Corpus, how: Choice, prompts: Source) -> dict[str, Source]:
        """Answers to a few prompts at random, then to those that a first student asks for."""
        seed = self.seed
        drawn = {"by": "random", "count": how.after, "seed": seed}
        first = Step(f"drawn-{name}-s{seed}", choose, drawn, {"prompts": prompts})
        said = self.asked(f"{name}-first", corpus, first / "prompts.jsonl")
        known = {f"answers{i}": source for i, source in enumerate(said.values())}
        ranked = {"by": how.by, "count": how.count, "seed": seed, "balance": how.balance}
        inputs: dict[str, Source] = {"prompts": prompts, **known}
        if how.by != "random":
            recipe = self.study.recipe_of(name)
            params = {"recipe": recipe, "budgets": [how.tokens], "seed": seed}
            trained_on = self.cleaned(f"{name}-first", corpus, said)
            base = self.model(self.study.bases[how.base])
            run = Step(
                f"trained-{how.base}-{name}-first-s{seed}",
                train,
                params,
                {"base": base, "corpus": trained_on},
                seconds=8,
            )
            inputs["student"] = run / f"tokens-{how.tokens}"
        choice = Step(f"chosen-{name}-s{seed}", choose, ranked, inputs, seconds=10)
        more = self.asked(f"{name}-chosen", corpus, choice / "prompts.jsonl")
        return {**said, **{f"chosen-{part}": source for part, source in more.items()}}

    def kept_out(self) -> list[Source]:
        """Files whose texts must not be asked in imitation data."""
        if self.study.evaluation == "pocket":
            return [self.world() / "eval_text.jsonl", self.world() / "prompts.jsonl"]
        folder = self.here / self.study.evaluation
        names = ("nq.jsonl", "prompts.jsonl", "keep_out.jsonl")
        return [SourceFile(folder / name) for name in names if (folder / name).exists()]

    # ---- students -------------------------------------------------------------------

    def trained(self, base: str, corpus: str) -> Step:
        """One run of a base over a corpus; it leaves the student of every token amount."""
        recipe = self.study.recipe_of(corpus)
        params: dict[str, Any] = {
            "recipe": recipe,
            "budgets": list(self.study.amounts_of(corpus)),
            "seed": self.seed,
        }
        if self.study.corpora[corpus].mix:
            params["in_order"] = True
        inputs = {"base": self.model(self.study.bases[base]), "corpus": self.mixed(corpus)}
        if recipe.distil:
            inputs["teacher"] = self.model(self.study.teacher.model)
        means: dict[str, Any] = {name: self.means.get(name) for name in DEVICES}
        teacher = self.study.teacher.model
        means["names"] = {"base": self.study.bases[base], "teacher": teacher, "corpus": corpus}
        label = f"trained-{base}-{corpus}-s{self.seed}"
        devices = float(means["devices"] or 1)
        return Step(label, train, params, inputs, seconds=8, means=means, cpus=devices)

    def student(self, base: str, corpus: str, amount: int) -> Part:
        """The student of one amount: after imitation, or refined with its teacher's help."""
        imitating = self.trained(base, corpus) / f"tokens-{amount}"
        refinement = self.study.corpora[corpus].refine
        if refinement is None:
            return imitating
        teacher = self.voice(self.study.teacher.model)
        params = {**teacher.params, "refinement": refinement, "seed": self.seed}
        inputs = {**teacher.inputs, "student": imitating, "prompts": self.mixed(corpus)}
        label = f"refined-{base}-{corpus}-{amount}-s{self.seed}"
        return Step(label, refine, params, inputs, seconds=20, means=teacher.means) / REFINED
