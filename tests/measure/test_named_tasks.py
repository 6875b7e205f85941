"""Tasks of lm-eval by name: the user's own, lm-eval's, and what cannot be run."""

import json
from importlib.util import find_spec

import pytest
from lm_eval_tasks import write_tasks
from small_models import byte_tokenizer, llama

from veneer.errors import InputError, StepFailed
from veneer.measure.benchmarks import Options, named, run_benchmarks
from veneer.models.asking import Reply
from veneer.models.local import LocalModel
from veneer.records import Subject

SUBJECT = Subject(model="tiny", role="base", base="tiny", tokens=0)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def local():
    tokenizer = byte_tokenizer()
    assert tokenizer.pad_token is None
    return LocalModel(llama(len(tokenizer)), tokenizer, name="tiny")


class Endpoint:
    name = "openai:somebody"

    def __init__(self):
        self.asked = []

    def ask(self, asks, *, max_new_tokens, temperature=0.0, top_p=1.0, seed=0, progress=None):
        self.asked += asks
        lost = Reply("", "failed", "no reply after 6 tries")
        return [lost if "fox" in ask.messages[-1].content else Reply("Dog!") for ask in asks]


def run(model, name, tasks, **options):
    chosen = Options(include=[tasks], bootstrap=0, **options)
    return run_benchmarks(model, [f"lm_eval:{name}"], tasks, SUBJECT, options=chosen)


def test_what_an_endpoint_cannot_say_is_unscored_item_by_item(tasks):
    endpoint = Endpoint()
    found = run(endpoint, "tiny_group", tasks)
    (acc, norm) = found.sheets
    assert (acc.metric, len(acc.items), set(acc.values)) == ("acc", 18, {None})
    assert (norm.metric, len(norm.items)) == ("acc_norm", 9)
    assert set(acc.reasons) == {"the endpoint gives no log-probabilities of given texts"}
    assert endpoint.asked == []
    assert found.totals == []


def test_items_have_the_same_names_whoever_is_measured(tasks, local):
    silent, heard = run(Endpoint(), "tiny_choice", tasks), run(local, "tiny_choice", tasks)
    assert [s.items for s in silent.sheets] == [s.items for s in heard.sheets]
    assert None not in heard.sheets[0].values


def test_an_endpoint_is_asked_and_its_failures_are_unscored(tasks):
    endpoint = Endpoint()
    whole = next(s for s in run(endpoint, "tiny_generate", tasks).sheets if "whole" in s.metric)
    prompts = [ask.messages[-1].content for ask in endpoint.asked]
    assert len(prompts) == 9
    assert {m.role for ask in endpoint.asked for m in ask.messages} == {"user"}
    lost = [i for i, prompt in enumerate(prompts) if "fox" in prompt]
    assert lost
    assert [i for i, value in enumerate(whole.values) if value is None] == lost
    assert whole.reasons[lost[0]] == "failed: no reply after 6 tries"


def test_worked_examples_are_earlier_turns_where_that_is_asked_for(tasks):
    endpoint = Endpoint()
    run(endpoint, "tiny_generate", tasks, chat=True)
    turns = endpoint.asked[0].messages
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[0].content.startswith("Q: who is")
    plain = Endpoint()
    run(plain, "tiny_generate", tasks, chat=True, multiturn=False)
    assert [turn.role for turn in plain.asked[0].messages] == ["user"]


def test_the_number_of_worked_examples_can_be_given(tasks, local):
    name = "lm_eval:tiny_generate"
    prompts = [
        run(local, "tiny_generate", tasks, shots={name: n}).answers[0].prompt for n in (0, 2)
    ]
    assert [prompt.count("Q: ") for prompt in prompts] == [1, 3]


def test_a_chat_needs_a_template(tasks, local):
    with pytest.raises(InputError, match="no chat template"):
        run(local, "tiny_choice", tasks, chat=True)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("humaneval", "runs what the model writes", "measure humaneval"),
        ("tiny_missing", "data of lm-eval's task 'tiny_missing' cannot be fetched", "data_files"),
        ("tiny_package", "needs the package 'no_such_thing'", "pip install no_such_thing"),
        ("tiny_broken", "cannot be loaded: ZeroDivisionError", "YAML"),
        ("tiny_unsafe", "'tiny_unsafe' runs what the model writes", "sandbox"),
        ("tiny_unsafe_group", "'tiny_unsafe' runs what the model writes", "sandbox"),
    ],
)
def test_a_task_that_cannot_be_run_is_one_message(tasks, local, name, message, hint):
    data = tasks.parent / "test.jsonl"
    good = (
        "dataset_path: json\noutput_type: generate_until\ntest_split: test\n"
        f"dataset_kwargs: {{cache_dir: '{tasks.parent / 'cache'}', data_files: {{test: '{data}'}}}}\n"
        "doc_to_text: question\ndoc_to_target: text\n"
    )
    (tasks / "broken.py").write_text("def docs(rows):\n    return 1 / 0\n")
    (tasks / "package.py").write_text("import no_such_thing\n\ndef docs(rows):\n    return rows\n")
    for task, settings in {
        "tiny_missing": good.replace("test.jsonl", "nowhere.jsonl"),
        "tiny_package": f"{good}process_docs: !function package.docs\n",
        "tiny_broken": f"{good}process_docs: !function broken.docs\n",
        "tiny_unsafe": f"{good}unsafe_code: true\n",
    }.items():
        (tasks / f"{task}.yaml").write_text(f"task: {task}\n{settings}")
    (tasks / "unsafe_group.yaml").write_text("group: tiny_unsafe_group\ntask: [tiny_unsafe]\n")
    named._manager.cache_clear()
    with pytest.raises(InputError) as raised:
        run(local, name, tasks)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_settings_that_we_lack_and_metrics_that_fail_are_one_message(tasks, local):
    plain = (tasks / "tiny_generate.yaml").read_text().replace("tiny_generate", "tiny_beams")
    (tasks / "beams.yaml").write_text(plain.replace("do_sample: false", "num_beams: 4"))
    (tasks / "fails.py").write_text("def results(doc, said):\n    return 1 / 0\n")
    (tasks / "fails.yaml").write_text(
        plain.replace("tiny_beams", "tiny_fails") + "process_results: !function fails.results\n"
    )
    named._manager.cache_clear()
    with pytest.raises(InputError, match="num_beams=4"):
        run(local, "tiny_beams", tasks)
    with pytest.raises(StepFailed, match="'tiny_fails' failed: ZeroDivisionError"):
        run(local, "tiny_fails", tasks)


def test_lm_evals_own_tasks_are_found_without_reading_all_of_them():
    manager = named._manager("ai2_arc", ())
    assert manager.task_index["ai2_arc"].tags == {"arc_easy", "arc_challenge"}
    assert len(manager.task_index) < 500
    group = named._manager("mmlu_stem", ())
    assert "mmlu_abstract_algebra" in group.task_index["mmlu_stem_tasks"].tags


def test_a_misspelt_task(monkeypatch, tasks):
    import lm_eval.tasks

    whole = lm_eval.tasks.TaskManager  # reading all of lm-eval's tasks takes seconds
    monkeypatch.setattr(
        lm_eval.tasks,
        "TaskManager",
        lambda include_path, include_defaults=False: whole(
            include_path=include_path, include_defaults=False
        ),
    )
    with pytest.raises(InputError, match="no task 'tiny_chioce'") as raised:
        named.load("tiny_chioce", [tasks])
    assert "'tiny_choice'" in raised.value.hint
    with pytest.raises(InputError, match="no folder of tasks"):
        named.load("tiny_choice", [tasks / "none"])


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_vllm_is_asked_for_where_it_is_not_installed(tasks, local):
    with pytest.raises(InputError, match="vllm is not installed") as raised:
        run(local, "tiny_choice", tasks, engine="vllm")
    assert raised.value.hint == "pip install vllm"


def test_a_group_that_weighs_its_tasks_alike_keeps_lm_evals_total(tasks, local):
    group = "group: tiny_even\ntask: [tiny_choice, tiny_few]\naggregate_metric_list:\n"
    (tasks / "even.yaml").write_text(group + "  - {metric: acc, weight_by_size: false}\n")
    few = (tasks / "tiny_last_word.yaml").read_text().replace("tiny_last_word", "tiny_few")
    rows = (tasks.parent / "test.jsonl").read_text().splitlines()[:2]
    rows = [json.dumps({**json.loads(row), "text": "a fox"}) for row in rows]
    (tasks.parent / "few.jsonl").write_text("\n".join(rows) + "\n")
    (tasks / "few.yaml").write_text(few.replace("test.jsonl", "few.jsonl"))
    named._manager.cache_clear()
    found = run(local, "tiny_even", tasks)
    sheet = next(s for s in found.sheets if s.metric == "acc")
    of_task = {
        name: [v for v, c in zip(sheet.values, sheet.categories, strict=True) if c == name]
        for name in ("tiny_choice", "tiny_few")
    }
    assert {name: len(values) for name, values in of_task.items()} == {
        "tiny_choice": 9,
        "tiny_few": 2,
    }
    means = [sum(values) / len(values) for values in of_task.values()]
    assert means[0] != means[1], "else both ways of weighing say the same"
    total = next(t for t in found.totals if t.measure == "lm_eval:tiny_even")
    assert total.value == pytest.approx(sum(means) / 2)
