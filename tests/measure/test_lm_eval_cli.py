"""What we measure is what lm-eval's own command line measures, number by number."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from lm_eval_tasks import write_tasks
from small_models import byte_tokenizer, llama

from veneer.measure.benchmarks import Options, run_benchmarks
from veneer.measure.lm_eval_results import ModelInfo, write_results
from veneer.models.local import LocalModel
from veneer.records import Subject

SUBJECT = Subject(model="tiny", role="base", base="tiny", tokens=0)
NAMES = ["tiny_group", "tiny_generate", "tiny_rolling"]
TASKS = ["tiny_choice", "tiny_last_word", "tiny_generate", "tiny_rolling"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ m['role'] }}] {{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
# lm-eval's command line as it is, but for two things that take seconds and change no result:
# it does not read the thousands of tasks that it brings along, nor describe the machine.
COMMAND = """
import functools
import lm_eval.tasks.manager as manager
import torch.utils.collect_env as collect_env
manager.TaskManager.__init__ = functools.partialmethod(
    manager.TaskManager.__init__, include_defaults=False
)
collect_env.get_pretty_env_info = lambda: "a machine"
import json
import sys
from lm_eval.__main__ import cli_evaluate
for words in json.loads(sys.argv[1]):
    sys.argv = ["lm_eval", *words]
    cli_evaluate()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_tasks(folder)
    tokenizer = byte_tokenizer(bos=True)
    tokenizer.pad_token = "</s>"
    tokenizer.chat_template = TEMPLATE
    llama(len(tokenizer), context=160, seed=5).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


def read(out):
    """(results, samples by task) that lm-eval's command line left in a folder."""
    (results,) = out.rglob("results_*.json")
    samples = {}
    for task in TASKS:
        (path,) = out.rglob(f"samples_{task}_*.jsonl")
        samples[task] = [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(results.read_text()), samples


@pytest.fixture(scope="module")
def command_lines(folder):
    """What two runs of lm-eval's command line left: as it is, and with the chat template."""
    words = ["run", "--model", "hf", "--model_args", f"pretrained={folder / 'model'},dtype=float32"]
    words += ["--tasks", ",".join(NAMES), "--include_path", str(folder / "tasks")]
    words += ["--log_samples", "--device", "cpu", "--batch_size", "4", "--output_path"]
    plain, chat = folder / "plain", folder / "chat"
    lines = [[*words, str(plain)], [*words, str(chat), "--apply_chat_template", "--limit", "4"]]
    quiet = {"HF_HUB_OFFLINE": "1", "DISABLE_MULTIPROC": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", COMMAND, json.dumps(lines)],
        check=True,
        capture_output=True,
        env={**os.environ, **quiet},
    )
    return read(plain), read(chat)


@pytest.fixture(scope="module")
def theirs(command_lines):
    return command_lines[0]


@pytest.fixture(scope="module")
def ours(folder):
    model = LocalModel.load(folder / "model", device="cpu")
    options = Options(include=[folder / "tasks"], bootstrap=100_000)
    measures = [f"lm_eval:{name}" for name in NAMES]
    found = run_benchmarks(model, measures, folder, SUBJECT, options=options)
    write_results(folder / "written", found.results, replace(ModelInfo.of(model), name="tiny"))
    return found


def assert_near(mine, other, path=""):
    """Equal, numbers within 1e-5 of each other, texts of numbers too."""
    if isinstance(other, dict):
        assert mine.keys() == other.keys(), path
        for key in other:
            assert_near(mine[key], other[key], f"{path}/{key}")
    elif isinstance(other, list):
        assert len(mine) == len(other), path
        for i, (a, b) in enumerate(zip(mine, other, strict=True)):
            assert_near(a, b, f"{path}/{i}")
    elif isinstance(other, float) and isinstance(mine, float):
        assert math.isclose(mine, other, rel_tol=1e-5, abs_tol=1e-5), path
    elif isinstance(other, str) and other.replace(".", "").replace("-", "").isdigit():
        assert math.isclose(float(mine), float(other), rel_tol=1e-5, abs_tol=1e-5), path
    else:
        assert mine == other, path


def test_every_sample_equals_the_command_lines(folder, theirs, ours):
    for task in TASKS:
        lines = (folder / "written" / f"samples_{task}.jsonl").read_text().splitlines()
        mine = sorted(map(json.loads, lines), key=lambda s: (s["filter"], s["doc_id"]))
        other = sorted(theirs[1][task], key=lambda s: (s["filter"], s["doc_id"]))
        assert_near(mine, other, task)
    texts = [sample["resps"][0][0] for sample in theirs[1]["tiny_generate"]]
    assert len(set(texts)) > 3, "a model that says one thing proves nothing"
    assert ours.notes == [
        "lm_eval:tiny_group: 1 prompts lost their beginning, which the model's context does not "
        "hold (as in lm-eval)."
    ]


def test_totals_and_tables_equal_the_command_lines(folder, theirs, ours):
    from lm_eval.utils import make_table

    mine = json.loads((folder / "written" / "results.json").read_text())
    other = theirs[0]
    assert mine.keys() == other.keys()
    assert mine["config"].keys() == other["config"].keys()
    for key in ("results", "groups", "group_subtasks", "versions", "n-shot", "higher_is_better"):
        assert_near(mine[key], other[key], key)
    assert mine["n-samples"] == other["n-samples"]
    assert mine["task_hashes"] == other["task_hashes"]
    assert mine["configs"].keys() == other["configs"].keys()

    def table(results, column="results"):
        return [line.split("|")[:7] for line in make_table(results, column).splitlines()]

    assert table(mine) == table(other)
    assert any("tiny_rolling" in row[1] for row in table(mine))
    assert make_table(mine, "groups") == make_table(other, "groups")


def test_other_tools_can_read_what_is_written(folder, ours):
    import datasets

    written = folder / "written"
    assert all(str(folder) not in path.read_text() for path in written.iterdir())
    for task in TASKS:
        rows = datasets.load_dataset(
            "json",
            data_files=str(written / f"samples_{task}.jsonl"),
            cache_dir=str(folder / "cache"),
            split="train",
        )
        assert len(rows) == {"tiny_generate": 18}.get(task, 9)
        assert rows[0]["arguments"]["gen_args_0"]["arg_0"] is not None


def test_sheets_and_totals_say_the_same(theirs, ours):
    sheets = {(s.measure, s.metric): s for s in ours.sheets}
    assert set(sheets) == {
        ("lm_eval:tiny_group", "acc"),
        ("lm_eval:tiny_group", "acc_norm"),
        ("lm_eval:tiny_generate", "exact_match,first-word"),
        ("lm_eval:tiny_generate", "exact_match,whole"),
    }
    group = sheets["lm_eval:tiny_group", "acc"]
    assert group.categories == ("tiny_choice",) * 9 + ("tiny_last_word",) * 9
    said = [s["acc"] for task in TASKS[:2] for s in theirs[1][task]]
    assert list(group.values) == said
    results = theirs[0]["results"]
    assert sum(group.values) / 18 == pytest.approx(results["tiny_group"]["acc,none"])
    totals = {(t.measure, t.metric): t for t in ours.totals}
    assert set(totals) == {
        ("lm_eval:tiny_last_word", "perplexity"),
        ("lm_eval:tiny_rolling", "word_perplexity"),
        ("lm_eval:tiny_rolling", "bits_per_byte"),
    }
    total = totals["lm_eval:tiny_last_word", "perplexity"]
    expected = results["tiny_last_word"]
    assert total.value == pytest.approx(expected["perplexity,none"], rel=1e-5)
    assert total.standard_error == pytest.approx(expected["perplexity_stderr,none"], rel=1e-4)
    assert total.n == 9


def test_a_limit_takes_the_first_items(folder, ours):
    model = LocalModel.load(folder / "model", device="cpu")
    name = "lm_eval:tiny_generate"
    options = Options(include=[folder / "tasks"], bootstrap=0)
    few = run_benchmarks(model, [name], folder, SUBJECT, limit={name: 4}, options=options)
    whole = {s.metric: s for s in ours.sheets if s.measure == name}
    for sheet in few.sheets:
        assert sheet.items == whole[sheet.metric].items[:4]
        assert sheet.values == whole[sheet.metric].values[:4]


def test_the_chat_template_is_applied_as_the_command_line_does(folder, command_lines):
    theirs = command_lines[1][1]
    model = LocalModel.load(folder / "model", device="cpu")
    options = Options(include=[folder / "tasks"], chat=True, bootstrap=0)
    limit = {f"lm_eval:{name}": 4 for name in NAMES}
    found = run_benchmarks(model, list(limit), folder, SUBJECT, limit=limit, options=options)
    write_results(folder / "written-chat", found.results, ModelInfo.of(model, chat=True))
    for task in TASKS:
        lines = (folder / "written-chat" / f"samples_{task}.jsonl").read_text().splitlines()
        mine = sorted(map(json.loads, lines), key=lambda s: (s["filter"], s["doc_id"]))
        other = sorted(theirs[task], key=lambda s: (s["filter"], s["doc_id"]))
        assert_near(mine, other, task)
    assert "[user] " in found.answers[0].prompt
