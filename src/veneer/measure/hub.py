"""Published benchmark data from the Hugging Face Hub, as local files in the formats we read.

Only files that are not there are fetched. Which revision they are of stands in sources.json
beside them, so that it can be asked for again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from veneer.errors import InputError
from veneer.measure.names import NEEDS

SOURCES = "sources.json"
Row = Mapping[str, Any]
Load = Callable[[str, str | None, str, str], Iterable[Row]]
"""(data set, configuration, split, revision) → rows."""


def _same(*fields: str) -> Callable[[Row], dict[str, Any]]:
    def kept(row: Row) -> dict[str, Any]:
        return {field: row[field] for field in fields}

    return kept


def _question(row: Row) -> dict[str, Any]:
    answer = row["answer"]
    golds = [answer] if isinstance(answer, str) else [str(gold) for gold in answer]
    return {"question": row["question"], "answer": golds}


def _choices(row: Row) -> dict[str, Any]:
    return {
        "subject": row["subject"],
        "question": row["question"],
        "choices": [str(choice) for choice in row["choices"]],
        "answer": int(row["answer"]),
    }


def _toxicity(row: Row) -> dict[str, Any]:
    return {
        "text": row["prompt"]["text"],
        "category": "challenging" if row["challenging"] else "",
        "source": "allenai/real-toxicity-prompts",
        "licence": "apache-2.0",
    }


@dataclass(frozen=True)
class Published:
    """Where a file's rows come from; `first` of them, None for all."""

    repo: str
    config: str | None
    split: str
    row: Callable[[Row], dict[str, Any]]
    shape: str
    first: int | None = None


_NQ = "google-research-datasets/nq_open"
_QUESTION = '{"question": …, "answer": [golds]}'
_CHOICES = '{"subject": …, "question": …, "choices": [4], "answer": 0-3}'
PUBLISHED = {
    "nq.jsonl": Published(_NQ, None, "validation", _question, _QUESTION),
    "nq_shots.jsonl": Published(_NQ, None, "train", _question, _QUESTION, first=5),
    "mmlu_test.jsonl": Published("cais/mmlu", "all", "test", _choices, _CHOICES),
    "mmlu_dev.jsonl": Published("cais/mmlu", "all", "dev", _choices, _CHOICES),
    "humaneval.jsonl": Published(
        "openai/openai_humaneval",
        None,
        "test",
        _same("task_id", "prompt", "entry_point", "canonical_solution", "test"),
        '{"task_id": …, "prompt": …, "entry_point": …, "test": …}',
    ),
    "toxicity.jsonl": Published(
        "allenai/real-toxicity-prompts", None, "train", _toxicity, '{"text": …}'
    ),
}
"""File → where it is published."""


def published(measure: str) -> list[str]:
    """The files of a measure that the Hub has."""
    return [file for file in NEEDS.get(measure, ()) if file in PUBLISHED]


def fetch(
    measures: Iterable[str],
    folder: Path,
    *,
    revisions: Mapping[str, str] | None = None,
    load: Load | None = None,
    latest: Callable[[str], str] | None = None,
) -> list[Path]:
    """Write the files that measures need and that a folder lacks; returns what was written.

    Args:
        revisions: data set → commit; the newest one where it is not named.
        load: rows of a split, `datasets` unless given.
        latest: the newest commit of a data set, asked of the Hub unless given.

    Raises:
        InputError: a data set cannot be reached, or has changed its form.
    """
    wanted = dict.fromkeys(file for name in measures for file in published(name))
    missing = [f for f in wanted if not any((folder / n).is_file() for n in (f, f"{f}.gz"))]
    written = []
    for file in missing:
        source = PUBLISHED[file]
        try:
            revision = (revisions or {}).get(source.repo) or (latest or _latest)(source.repo)
            rows = (load or _load)(source.repo, source.config, source.split, revision)
            lines = [source.row(row) for row in islice(rows, source.first)]
        except OSError as error:
            raise _unreachable(folder / file, source, error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{source.repo} is not in the form that is known: {type(error).__name__}: {error}.",
                f"Write {folder / file} yourself, one {source.shape} a line.",
            ) from error
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / file, "".join(_line(line) for line in lines))
        _record(folder / SOURCES, file, {"data": source.repo, "revision": revision})
        written.append(folder / file)
    return written


def _unreachable(path: Path, source: Published, error: OSError) -> InputError:
    return InputError(
        f"{path} is missing, and {source.repo} cannot be fetched: {_first_line(error)}.",
        f"Put {path.name} there, one {source.shape} a line, give it with --benchmark-data, or "
        "connect to the network.",
    )


def _latest(repo: str) -> str:
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(repo).sha)
    except Exception as error:  # the client's kinds of network errors have no common parent
        raise OSError(_first_line(error)) from error


def _load(repo: str, config: str | None, split: str, revision: str) -> Iterable[Row]:
    import datasets

    try:
        rows: Iterable[Row] = datasets.load_dataset(repo, config, split=split, revision=revision)
    except Exception as error:
        raise OSError(_first_line(error)) from error
    return rows


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


def _record(path: Path, file: str, source: dict[str, str]) -> None:
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    _write(path, json.dumps(dict(sorted({**known, file: source}.items())), indent=1) + "\n")


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    """All of the file or nothing of it."""
    scratch = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    scratch.write_text(text, "utf-8")
    scratch.replace(path)
