"""Where the files of a measurement lie: a benchmark's items, and a model's outputs by measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from veneer.errors import InputError, nearest
from veneer.measure.recorded.files import read_rows_of
from veneer.measure.recorded.programs import humaneval_data
from veneer.measure.recorded.scored import Data, mmlu_data, nq_data
from veneer.measure.recorded.sharing import BENCHMARKS

READERS: dict[str, Callable[[Path], Data]] = {
    "nq": nq_data, "nq-0shot": nq_data, "mmlu": mmlu_data, "humaneval": humaneval_data,
}  # fmt: skip
USUAL_NAMES = {
    "nq": ("nq", "NQ-open.dev"),
    "nq-0shot": ("nq", "NQ-open.dev"),
    "mmlu": ("mmlu_test", "mmlu"),
    "humaneval": ("humaneval", "HumanEval"),
}
"""How a benchmark's file is called in a folder of several, without its ending."""
OUTPUT_NAMES = {
    "nq-0shot": ("nq-0shot", "nq"),
    "style": ("style", "answers"),
    "toxicity": ("toxicity", "toxic_answers"),
}
"""How a measure's file is called in a folder of outputs, where not after the measure."""
WORDS = "toxic_words"
"""What the list of words of "toxicity" is called, in a folder with the ending .txt."""
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


def benchmark_files(given: Sequence[str], asked: Sequence[str]) -> dict[str, Path]:
    """The file of each benchmark asked for, as far as one was given; `WORDS` is one for toxicity.

    Args:
        given: each `MEASURE=FILE`, a file that says by its fields what it is, or a folder with
            files called as usual (`USUAL_NAMES`, any of `ENDINGS`; `WORDS`).

    Raises:
        InputError: no such file or measure; a file that nothing asked for; two for one measure.
    """
    found: dict[str, Path] = {}
    wanted = [measure for measure in asked if measure in BENCHMARKS]
    for one in given:
        told, path = _split(one)
        if told is None and path.is_dir():
            here = {m: file for m in wanted if (file := _in_folder(path, USUAL_NAMES[m]))}
            if "toxicity" in asked and (path / f"{WORDS}.txt").is_file():
                here[WORDS] = path / f"{WORDS}.txt"
            if not here:
                names = ", ".join(f"{USUAL_NAMES[m][0]}.jsonl" for m in wanted or BENCHMARKS)
                raise InputError(
                    f"The folder {path} holds no benchmark that was asked for.",
                    f"Call the files {names} (or .jsonl.gz), or write MEASURE=FILE.",
                )
        else:
            kind = told or _kind_of(path)
            fitting = [m for m in wanted if m == kind or (kind == "nq" and m == "nq-0shot")]
            if kind == WORDS and "toxicity" in asked:
                fitting = [WORDS]
            if not fitting:
                kind = "toxicity" if kind == WORDS else kind
                raise InputError(
                    f"--benchmark-data {one} is for {kind}, which was not asked for.",
                    f"Add it to --measures {','.join([*asked, kind])}, or leave the file out.",
                )
            here = dict.fromkeys(fitting, path)
        for measure, file in here.items():
            if measure in found and found[measure] != file:
                raise InputError(
                    f"Two files are given for {measure}: {found[measure]} and {file}.",
                    "Keep one of them.",
                )
            found[measure] = file
    return found


def output_files(outputs: Path, asked: Sequence[str]) -> dict[Path, list[str]]:
    """The measures that each file of outputs serves: the one file, or those of a folder.

    Raises:
        InputError: the folder lacks a measure's file.
    """
    if not outputs.is_dir():
        return {outputs: list(asked)}
    found: dict[Path, list[str]] = {}
    for measure in asked:
        names = OUTPUT_NAMES.get(measure, (measure,))
        path = _in_folder(outputs, names)
        if path is None:
            raise InputError(
                f"The folder {outputs} holds no outputs for {measure}.",
                f"Call the file {' or '.join(f'{name}.jsonl' for name in names)} (or .jsonl.gz).",
            )
        found.setdefault(path, []).append(measure)
    return found


def _split(given: str) -> tuple[str | None, Path]:
    name, equals, rest = given.partition("=")
    if not equals or not rest or Path(given).exists() or "/" in name:
        return None, Path(given)
    if name not in (*BENCHMARKS, WORDS):
        raise InputError(
            f"--benchmark-data {given}: {name!r} is no benchmark.",
            nearest(name, (*BENCHMARKS, WORDS)),
        )
    return name, Path(rest)


def _in_folder(folder: Path, names: Sequence[str]) -> Path | None:
    places = (folder / f"{name}{ending}" for name in names for ending in ENDINGS)
    return next((path for path in places if path.is_file()), None)


def _kind_of(path: Path) -> str:
    """The benchmark that a file's first row belongs to."""
    first = read_rows_of(path)[0]
    fields = set(first.fields)
    listed = ", ".join(sorted(fields)[:8])
    if {"task_id", "prompt", "test"} <= fields:
        return "humaneval"
    if {"question", "choices", "answer"} <= fields:
        return "mmlu"
    if {"question", "answer"} <= fields:
        return "nq"
    raise InputError(
        f"{path}, {first.at}: no benchmark's items have the fields {listed}.",
        "Known: humaneval (task_id, prompt, entry_point, test), mmlu (subject, question, choices, "
        "answer), nq (question, answer); each in its published format.",
    )
