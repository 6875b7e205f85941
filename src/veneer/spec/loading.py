"""Read, check and explain study files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from veneer.errors import InputError, SpecError, nearest
from veneer.spec.measures import NEEDS
from veneer.spec.study import Study

BUILT_IN = {"pocket": Path(__file__).parents[1] / "pocket" / "study.yaml"}


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
            needed = NEEDS.get(measure, ())
            wanted += [(f"{study.evaluation}/{n}", f"measure {measure}") for n in needed]
    if "toxicity" in study.measures and study.toxicity.scorer == "lexicon" and not study.is_pocket:
        wanted.append((f"{study.evaluation}/toxic_words.txt", "the toxicity scorer lexicon"))
    if study.tasks:
        wanted.append((study.tasks, "tasks of lm-eval"))
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
