"""The study: what is asked, trained and measured."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from veneer.errors import nearest
from veneer.measure.toxicity.settings import ToxicitySettings
from veneer.models.resolve import parse_model
from veneer.pocket.scale import PocketScale, pocket_scale
from veneer.spec.measures import MEASURES, Measure
from veneer.spec.parts import Budget, Corpus, NamedJudge, NamedTeacher, Strict, Tokens
from veneer.student.recipe import Recipe, unfolded


def _named_scale(value: Any) -> Any:
    return pocket_scale(value) if isinstance(value, str) else value


Scale = Annotated[
    PocketScale, BeforeValidator(_named_scale, json_schema_input_type=str | PocketScale)
]

NamedRecipe = Annotated[Recipe, BeforeValidator(unfolded, json_schema_input_type=str | Recipe)]


class Study(Strict):
    """A whole study: teacher, base models, imitation data, amounts, seeds, measures.

    `evaluation` is a folder with the files that `NEEDS` lists for the measures, or "pocket".
    The teacher answers its prompts.jsonl twice, everybody else once. Questions of nq.jsonl,
    prompts.jsonl and keep_out.jsonl ({"text"}) never enter imitation data. `answer_tokens`
    limits what a model may say to an item of a measure. `judge` compares answers with the
    teacher's (measure "judge") and tells their tone (with "style"). `toxicity` says how that is
    scored. `samples: {humaneval: 20}` writes 20 programs a problem, for pass@k. `tasks` is a
    folder of lm-eval tasks of one's own, for measures lm_eval:NAME.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    teacher: NamedTeacher
    bases: dict[str, str] = Field(min_length=1)
    corpora: dict[str, Corpus] = Field(min_length=1)
    tokens: tuple[Tokens, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    recipe: NamedRecipe = Recipe()
    measures: tuple[Measure, ...] = Field(default=MEASURES, min_length=1)
    answer_tokens: dict[Measure, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    evaluation: str
    judge: NamedJudge | None = None
    toxicity: ToxicitySettings = ToxicitySettings()
    samples: dict[Measure, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    tasks: str | None = None
    pocket: Scale | None = None
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _makes_sense(self) -> Study:
        teacher = parse_model(self.teacher.model)
        for name, given in self.bases.items():
            if parse_model(given) == teacher:
                raise ValueError(
                    f"base {name} is the teacher itself ({given}); a model cannot imitate itself"
                )
            if parse_model(given).scheme == "openai":
                raise ValueError(
                    f"base {name}: {given} lies behind an endpoint and cannot be trained here"
                )
        for amounts in [self.tokens, *(c.tokens for c in self.corpora.values() if c.tokens)]:
            if list(amounts) != sorted(set(amounts)):
                raise ValueError("tokens must rise, each amount once")
        if set(self.samples) - {"humaneval"}:
            raise ValueError("samples are drawn for humaneval only: samples: {humaneval: 20}")
        if "judge" in self.measures and (self.judge is None or "style" not in self.measures):
            raise ValueError(
                "the measure judge needs the key judge (judge: openai:NAME) and the measure style, "
                "whose answers it compares"
            )
        if self.judge and not {"judge", "style"} & set(self.measures):
            raise ValueError("judge is named, but neither judge nor style is measured")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed stands twice in seeds")
        for name, corpus in self.corpora.items():
            if corpus.task and corpus.task not in self.measures:
                raise ValueError(f"corpus {name} serves the task {corpus.task}, not in measures")
            if corpus.choose and corpus.choose.base not in self.bases:
                hint = nearest(corpus.choose.base, self.bases)
                raise ValueError(f"corpus {name} chooses by base {corpus.choose.base!r}. {hint}")
            for part in corpus.mix:
                if part not in self.corpora or self.corpora[part].mix:
                    known = [n for n, c in self.corpora.items() if not c.mix]
                    raise ValueError(f"corpus {name} mixes {part!r}. {nearest(part, known)}")
            if self.recipe_of(name).distil and teacher.scheme == "openai":
                raise ValueError(
                    f"corpus {name} distils {self.teacher.model}, whose distribution no endpoint "
                    "gives; distil from hf: or pocket: teachers"
                )
        if self.is_pocket and self.pocket is None:
            raise ValueError("a study that uses pocket: parts needs the key pocket (full or tiny)")
        for given in [self.teacher.model, *self.bases.values()]:
            ref = parse_model(given)
            if self.pocket and ref.scheme == "pocket" and ref.name not in self.pocket.sizes:
                raise ValueError(f"{given}: {nearest(ref.name, self.pocket.sizes)}")
        return self

    @property
    def is_pocket(self) -> bool:
        """Whether any of its parts is an embedded one."""
        models = [self.teacher.model, *self.bases.values()]
        return self.evaluation == "pocket" or any(m.startswith("pocket:") for m in models)

    def recipe_of(self, corpus: str) -> Recipe:
        """The study's recipe with what the corpus changes in it."""
        changes = unfolded(self.corpora[corpus].recipe)
        return Recipe.model_validate({**self.recipe.model_dump(), **changes})

    def amounts_of(self, corpus: str) -> tuple[int, ...]:
        """Token amounts of a corpus, before rounding to whole steps."""
        return self.corpora[corpus].tokens or self.tokens
