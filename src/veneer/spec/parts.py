"""Parts of a study file: amounts, teacher, budget, and how a corpus comes about."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from veneer.corpus.dedup import Dedup, Sameness
from veneer.corpus.pipeline.settings import Curation, Decontamination
from veneer.measure.judging.settings import JudgeSettings
from veneer.models.resolve import parse_model
from veneer.spec.measures import Measure
from veneer.student.refine.refinement import Refinement

SUFFIXES = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000}


def parse_tokens(value: Any) -> Any:
    """Token amounts as people write them: 20480, "300k", "0.3M", "1B"."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMB]?)", value.strip())
        if match:
            return round(float(match[1]) * SUFFIXES[match[2]])
        raise ValueError(f"{value!r} is not an amount of tokens; write 300k, 0.3M or 20480")
    return value


Tokens = Annotated[
    int, BeforeValidator(parse_tokens, json_schema_input_type=int | str), Field(gt=0)
]


class Strict(BaseModel):
    """A frozen part of a study; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Teacher(Strict):
    """Whom the students imitate: a model's name, or its name with where it is reached.

    `base_url`: of an OpenAI-compatible endpoint, where it is not the environment's
    OPENAI_BASE_URL. `key`: the *name* of the environment variable that holds the key; the key
    itself is never in a file.
    """

    model: str
    base_url: str | None = None
    key: str = Field(default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")

    @model_validator(mode="after")
    def _is_an_endpoint(self) -> Teacher:
        if parse_model(self.model).scheme != "openai" and self.model_fields_set - {"model"}:
            raise ValueError(f"base_url and key belong to openai: models, not to {self.model}")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, write: Any) -> Any:
        whole = write(self)
        return self.model if self.model_fields_set <= {"model"} else whole


def _by_name(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


NamedTeacher = Annotated[Teacher, BeforeValidator(_by_name, json_schema_input_type=str | Teacher)]


NamedJudge = Annotated[
    JudgeSettings, BeforeValidator(_by_name, json_schema_input_type=str | JudgeSettings)
]


class Budget(Strict):
    """What may be spent on endpoints, over the whole study and all its runs.

    A run stops before the request that could exceed it, and goes on when it is raised.
    """

    usd: float | None = Field(default=None, gt=0)
    tokens: Tokens | None = None


class Synthesis(Strict):
    """Task data as in the paper's §3 and Appendix A: the teacher writes pairs like the seeds.

    `seeds`: JSONL of {"question", "answer"}, ten in the paper. `count`: unique pairs wanted;
    `requests`: how often the teacher is asked at most, since it may run out of new ones.
    `template`: nq (the paper's Table 4), cypher, generic, or the fields of one's own; `values`
    fill its places.
    """

    seeds: str
    count: int = Field(gt=0)
    requests: int = Field(default=10_000, gt=0)
    template: str | dict[str, Any] = "nq"
    values: dict[str, str] = Field(default_factory=dict)
    temperature: float = Field(default=1.0, ge=0)


class Choice(Strict):
    """Choose what to ask instead of asking everything (the paper leaves active learning open).

    The teacher answers `after` prompts drawn at random; a student of `base` is trained on `tokens`
    tokens of them; of the other prompts the `count` that come first `by` its uncertainty, its
    entropy or the disagreement foretold from the answers are asked too ("random": any). With
    `balance` every category keeps its share.
    """

    by: Literal["random", "uncertainty", "entropy", "disagreement"]
    after: int = Field(gt=0)
    tokens: Tokens
    count: int = Field(gt=0)
    base: str
    balance: bool = True


class Replay(Strict):
    """Text like the base's pretraining, mixed in so that it forgets less (paper, §4.3).

    `text`: JSONL of {"text"}. `ratio`: replayed tokens for each token of imitation data.
    """

    text: str
    ratio: float = Field(default=1.0, gt=0)


class Corpus(Curation, Strict):
    """One set of imitation data, from exactly one of `collect`, `import`, `synthesize`, `mix`.

    collect: prompts ({"text"} rows) that the teacher answers; all of them, or with `choose` some.
    import: files of dialogues that a teacher already wrote. `teacher` and `licence` say who and
        under which terms, for records that do not say themselves.
    synthesize: task data that the teacher writes from seed pairs (local imitation).
    refine: what is done with each student after imitation, on the corpus's own queries.
    mix: other corpora of the study by name, each with its share of the words; a mixture is
        trained on in one order, in which every amount of data has these shares.

    Beside these, every option of a curation. A query stands once (a pair, where data is
    synthesised), and what asks a question of the evaluation is dropped; with `decontaminate:
    {bleu: 0.20}` also what comes near one.
    """

    collect: str | None = None
    choose: Choice | None = None
    import_: tuple[str, ...] = Field(default=(), alias="import")
    synthesize: Synthesis | None = None
    mix: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    replay: Replay | None = None
    temperature: float = Field(default=0.7, ge=0)
    answer_tokens: int = Field(default=512, gt=0)
    kind: Literal["broad", "local"] | None = None
    task: Measure | None = None
    tokens: tuple[Tokens, ...] | None = None
    recipe: str | dict[str, Any] = Field(default_factory=dict)
    refine: Refinement | None = None
    dedup: Dedup | None = None  # type: ignore[assignment]
    sameness: Sameness = "folded"
    decontaminate: Decontamination = Decontamination(bleu=None)

    @model_validator(mode="after")
    def _one_source(self) -> Corpus:
        sources = [self.collect, self.import_, self.synthesize, self.mix]
        if sum(map(bool, sources)) != 1:
            raise ValueError("give exactly one of: collect, import, synthesize, mix")
        if self.choose and self.collect is None:
            raise ValueError("choose belongs to collect: it picks among the prompts")
        if self.mix and (self.replay or self.model_fields_set & Curation.model_fields.keys()):
            raise ValueError("a mixture is made of curated corpora: curate and replay in those")
        return self

    @property
    def curation(self) -> dict[str, Any]:
        """The options of its curation, as plain values."""
        options = self.model_dump(mode="json", include=set(Curation.model_fields))
        return {**options, "dedup": self.dedup or ("pair" if self.synthesize else "query")}

    @property
    def imitates(self) -> Literal["broad", "local"]:
        """Broad unless the data was synthesised for one task, or the file says otherwise."""
        return self.kind or ("local" if self.synthesize else "broad")
