"""The study file: what is asked, trained and measured. YAML in, a frozen `Study` out.

Everything here decides results and enters fingerprints; how a study is executed (processes,
devices, folders) is never in the file. Unknown keys are refused with the nearest known one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from veneer.errors import InputError, SpecError, nearest
from veneer.models.resolve import parse_model
from veneer.pocket.scale import PocketScale, pocket_scale
from veneer.student.recipe import Recipe

Measure = Literal["nq", "nq-0shot", "mmlu", "humaneval", "style", "toxicity"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
SUFFIXES = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000}
BUILT_IN = {"pocket": Path(__file__).parent / "pocket" / "study.yaml"}


def parse_tokens(value: Any) -> Any:
    """Token amounts as people write them: 20480, "300k", "0.3M", "1B"."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMB]?)", value.strip())
        if match:
            return round(float(match[1]) * SUFFIXES[match[2]])
        raise ValueError(f"{value!r} is not an amount of tokens; write 300k, 0.3M or 20480")
    return value


def _named_scale(value: Any) -> Any:
    return pocket_scale(value) if isinstance(value, str) else value


Tokens = Annotated[
    int, BeforeValidator(parse_tokens, json_schema_input_type=int | str), Field(gt=0)
]
Scale = Annotated[
    PocketScale, BeforeValidator(_named_scale, json_schema_input_type=str | PocketScale)
]


class Strict(BaseModel):
    """A frozen part of a study; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Synthesis(Strict):
    """Task data as in the paper's §3 and Appendix A: the teacher writes pairs like the seeds.

    `seeds`: JSONL of {"question", "answer"}, ten in the paper. `count`: unique pairs wanted;
    `requests`: how often the teacher is asked at most, since it may run out of new ones.
    """

    seeds: str
    count: int = Field(gt=0)
    requests: int = Field(default=10_000, gt=0)
    temperature: float = Field(default=1.0, ge=0)


class Replay(Strict):
    """Text like the base's pretraining, mixed in so that it forgets less (paper, §4.3).

    `text`: JSONL of {"text"}. `ratio`: replayed tokens for each token of imitation data.
    """

    text: str
    ratio: float = Field(default=1.0, gt=0)


class Corpus(Strict):
    """One set of imitation data, from exactly one of `collect`, `import` and `synthesize`.

    collect: JSONL of prompts ({"text"}) that the teacher answers.
    import: files of dialogues that a teacher already wrote.
    synthesize: task data that the teacher writes from seed pairs (local imitation).
    """

    collect: str | None = None
    import_: tuple[str, ...] = Field(default=(), alias="import")
    synthesize: Synthesis | None = None
    replay: Replay | None = None
    temperature: float = Field(default=0.7, ge=0)
    answer_tokens: int = Field(default=512, gt=0)
    kind: Literal["broad", "local"] | None = None
    task: Measure | None = None
    tokens: tuple[Tokens, ...] | None = None
    recipe: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Corpus:
        sources = [self.collect is not None, bool(self.import_), self.synthesize is not None]
        if sum(sources) != 1:
            raise ValueError("give exactly one of: collect, import, synthesize")
        return self

    @property
    def imitates(self) -> Literal["broad", "local"]:
        """Broad unless the data was synthesised for one task, or the file says otherwise."""
        return self.kind or ("local" if self.synthesize else "broad")


NEEDS: dict[str, tuple[str, ...]] = {
    "nq": ("nq.jsonl", "nq_shots.jsonl"),
    "nq-0shot": ("nq.jsonl",),
    "mmlu": ("mmlu_test.jsonl", "mmlu_dev.jsonl"),
    "humaneval": ("humaneval.jsonl",),
    "style": ("prompts.jsonl",),
    "toxicity": ("toxicity.jsonl", "toxic_words.txt"),
}
"""Files of the evaluation folder that each measure reads, in the benchmarks' published formats."""


class Study(Strict):
    """A whole study: teacher, base models, imitation data, amounts, seeds, measures.

    `evaluation` is a folder with the files that `NEEDS` lists for the measures, or "pocket".
    The teacher answers its prompts.jsonl twice, everybody else once. Questions of nq.jsonl,
    prompts.jsonl and keep_out.jsonl ({"text"}) never enter imitation data. `answer_tokens`
    limits what a model may say to an item of a measure.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    teacher: str
    bases: dict[str, str] = Field(min_length=1)
    corpora: dict[str, Corpus] = Field(min_length=1)
    tokens: tuple[Tokens, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    recipe: Recipe = Recipe()
    measures: tuple[Measure, ...] = Field(default=MEASURES, min_length=1)
    answer_tokens: dict[Measure, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    evaluation: str
    pocket: Scale | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Study:
        teacher = parse_model(self.teacher)
        for name, given in self.bases.items():
            if parse_model(given) == teacher:
                raise ValueError(
                    f"base {name} is the teacher itself ({given}); a model cannot imitate itself"
                )
        for amounts in [self.tokens, *(c.tokens for c in self.corpora.values() if c.tokens)]:
            if list(amounts) != sorted(set(amounts)):
                raise ValueError("tokens must rise, each amount once")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed stands twice in seeds")
        for name, corpus in self.corpora.items():
            if corpus.task and corpus.task not in self.measures:
                raise ValueError(f"corpus {name} serves the task {corpus.task}, not in measures")
            self.recipe_of(name)
        if self.is_pocket and self.pocket is None:
            raise ValueError("a study that uses pocket: parts needs the key pocket (full or tiny)")
        for given in [self.teacher, *self.bases.values()]:
            ref = parse_model(given)
            if self.pocket and ref.scheme == "pocket" and ref.name not in self.pocket.sizes:
                raise ValueError(f"{given}: {nearest(ref.name, self.pocket.sizes)}")
        return self

    @property
    def is_pocket(self) -> bool:
        """Whether any of its parts is an embedded one."""
        models = [self.teacher, *self.bases.values()]
        return self.evaluation == "pocket" or any(m.startswith("pocket:") for m in models)

    def recipe_of(self, corpus: str) -> Recipe:
        """The study's recipe with what the corpus changes in it."""
        changes = self.corpora[corpus].recipe
        return Recipe.model_validate({**self.recipe.model_dump(), **changes})

    def amounts_of(self, corpus: str) -> tuple[int, ...]:
        """Token amounts of a corpus, before rounding to whole steps."""
        return self.corpora[corpus].tokens or self.tokens


def load_study(given: str) -> tuple[Study, Path]:
    """Read a study by built-in name or path.

    Returns:
        The study, and the folder that its relative paths start from.

    Raises:
        InputError: no such file.
        SpecError: the file says something no study can mean; every mistake is listed.
    """
    path = BUILT_IN.get(given, Path(given))
    if not path.is_file():
        known = ", ".join(sorted(BUILT_IN))
        raise InputError(
            f"There is no study {given!r}: neither a file nor a built-in study ({known}).",
            "Type: veneer run pocket, or give the path of a YAML file.",
        )
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{given} is not YAML: {error}", "Mend the line it names.") from error
    if not isinstance(content, dict):
        raise SpecError(f"{given} holds no study.", "Start it with:  name: my-study")
    study = parse_study(content, given)
    check_files(study, path.parent)
    return study, path.parent


def check_files(study: Study, here: Path) -> None:
    """Before anything is spent: are the files there that the study names?

    Raises:
        InputError: names the first missing file and what it is for.
    """
    wanted = []
    if study.evaluation != "pocket":
        for measure in study.measures:
            wanted += [(f"{study.evaluation}/{n}", f"measure {measure}") for n in NEEDS[measure]]
    for name, corpus in study.corpora.items():
        given = [corpus.collect, *corpus.import_]
        given += [corpus.synthesize.seeds] if corpus.synthesize else []
        given += [corpus.replay.text] if corpus.replay else []
        wanted += [(path, f"corpus {name}") for path in given if path]
    for path, purpose in wanted:
        if not path.startswith("pocket:") and not (here / path).exists():
            raise InputError(
                f"{here / path} does not exist, but {purpose} needs it.",
                "Put it there, or correct its path in the study file (paths start from the file).",
            )


def parse_study(content: dict[str, Any], source: str = "study") -> Study:
    """A `Study` from plain values; raises SpecError that lists every mistake."""
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        lines = [_explain(e) for e in error.errors()]
        unique = list(dict.fromkeys(lines))
        raise SpecError(
            f"{source}: " + (unique[0] if len(unique) == 1 else "\n  " + "\n  ".join(unique)),
            "veneer schema prints every key that a study may have.",
        ) from error


def _explain(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    where = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"unknown key {where!r}. {nearest(place[-1], _keys_at(place[:-1]))}"
    if error["type"] == "missing":
        return f"{where} is missing."
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], str | int | float) and repr(error["input"]) not in message:
        message = f"{error['input']!r} was given. {message}"
    return f"{where}: {message}." if where else f"{message}."


def _keys_at(place: list[str]) -> list[str]:
    """Known keys of the model at a place in the file."""
    here: Any = Study
    for part in place:
        if _is_model(here):
            by_key = {f.alias or name: f.annotation for name, f in here.model_fields.items()}
            here = by_key.get(part)
        else:  # an entry of a mapping or a list
            here = get_args(here)[-1] if get_args(here) else None
        if not _is_model(here) and get_origin(here) not in (dict, list, tuple):
            here = next((option for option in get_args(here) if _is_model(option)), here)
    return [f.alias or name for name, f in here.model_fields.items()] if _is_model(here) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def json_schema() -> dict[str, Any]:
    """The JSON schema of study files."""
    return Study.model_json_schema(by_alias=True)
