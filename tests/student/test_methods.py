"""The recipe's methods through the training step: each changes the student, and only as it says."""

import json

import pytest

from veneer.errors import InputError
from veneer.steps import Job

RECIPE = {
    "block": 16,
    "batch": 2,
    "learning_rate": 1e-2,
    "schedule": "matched",
    "optimiser": "adamw",
    "precision": "fp32",
    "like": {},
}
LORA = {"method": "lora", "lora": {"rank": 4, "alpha": 8, "dropout": 0.1}}
DISTIL = {"distil": {"weight": 0.7, "temperature": 2.0}}


def run(out, base, corpus, budgets, teacher=None, scratch=None, **recipe):
    from veneer.student.train import train

    out.mkdir(parents=True)
    params = {"recipe": RECIPE | recipe, "budgets": budgets, "seed": 0}
    inputs = {"base": base, "corpus": corpus} | ({"teacher": teacher} if teacher else {})
    train(Job(out, params, inputs))
    return out


def weights(out, budget):
    return (out / f"tokens-{budget}" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, base, corpus):
    """A student is a teacher with the chat tokens."""
    out = run(tmp_path_factory.mktemp("taught") / "run", base, corpus, [320], learning_rate=2e-2)
    return out / "tokens-320"


@pytest.fixture(scope="module")
def plain(tmp_path_factory, base, corpus):
    return run(tmp_path_factory.mktemp("plain") / "run", base, corpus, [320])


OPTIONS = [{"pull": 30.0}, {"kl": 0.5}, DISTIL, LORA, {"method": "qlora"}]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: "-".join(o))
def test_every_option_changes_the_student_and_repeats(
    tmp_path, base, corpus, teacher, plain, option, capfd
):
    if option.get("method") == "qlora":
        pytest.importorskip("bitsandbytes")
    first = run(tmp_path / "a", base, corpus, [320], teacher, **option)
    again = run(tmp_path / "b", base, corpus, [320], teacher, **option)
    assert weights(first, 320) == weights(again, 320)
    assert weights(first, 320) != weights(plain, 320)
    from transformers import AutoModelForCausalLM

    student = AutoModelForCausalLM.from_pretrained(first / "tokens-320")
    assert "tokens-320" in student.name_or_path
    assert type(student).__name__ == "LlamaForCausalLM"
    assert (first / "tokens-320/adapter").exists() == ("method" in option)
    said = capfd.readouterr()
    assert "%|" not in said.err


def test_amounts_under_adapter_kl_and_pull_are_separate_runs(tmp_path, base, corpus):
    """Saving a student on the way, merged, leaves no trace in the larger one; dropout included."""
    option = {**LORA, "kl": 0.3, "pull": 10.0, "schedule": "faithful", "warmup_steps": 3}
    both = run(tmp_path / "both", base, corpus, [160, 320], **option)
    for budget in (160, 320):
        alone = run(tmp_path / str(budget), base, corpus, [budget], **option)
        for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
            ours, theirs = (x / f"tokens-{budget}" / name for x in (both, alone))
            assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_killed_run_with_adapter_and_pull_goes_on(tmp_path, base, corpus, method):
    from veneer.records import Dialogue, read_rows
    from veneer.student.assembly import assembled
    from veneer.student.keeping import Keeper
    from veneer.student.loop import train_tree
    from veneer.student.recipe import Recipe
    from veneer.student.sweep import runs_of, segments_of

    if method == "qlora":
        pytest.importorskip("bitsandbytes")
    dialogues = list(read_rows(corpus / "corpus.jsonl", Dialogue))
    fields = {**RECIPE, "method": method, "pull": 10.0, "kl": 0.3}
    recipe = Recipe.model_validate(fields)

    def go(folder, die_after=None):
        made = assembled({"base": base}, dialogues, recipe, 0)
        segments = segments_of(runs_of([320], recipe, made.training.data, 0))

        def progress(done, total, note=""):
            if done == die_after:
                raise KeyboardInterrupt

        def save(amount, where):
            made.save(where)

        keeper = Keeper(folder)
        train_tree(made.training, segments, keeper, save, progress, keep_every=0)
        return keeper.students / "tokens-320" / "model.safetensors"

    whole = go(tmp_path / "whole").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", die_after=6)
    assert json.loads((tmp_path / "killed/place.json").read_text())["taken"] > 0
    assert go(tmp_path / "killed").read_bytes() == whole


def test_a_pull_keeps_the_student_nearer_and_kl_its_predictions(tmp_path, base, corpus, plain):
    import torch
    from transformers import AutoModelForCausalLM

    from veneer.student.bases import load_base
    from veneer.student.recipe import Recipe

    start = load_base(base, Recipe(**RECIPE), 0)[0].eval()
    ids = torch.arange(3, 19)[None]

    def away(folder):
        model = AutoModelForCausalLM.from_pretrained(folder / "tokens-320")
        with torch.no_grad():
            moved = sum(
                (p - q).square().sum()
                for p, q in zip(model.parameters(), start.parameters(), strict=True)
            )
            was, now = (m(input_ids=ids).logits.log_softmax(-1) for m in (start, model))
        return moved.item(), (was.exp() * (was - now)).sum().item()

    pulled = run(tmp_path / "pull", base, corpus, [320], pull=30.0)
    held = run(tmp_path / "kl", base, corpus, [320], kl=1.0)
    assert away(pulled)[0] < 0.8 * away(plain)[0]
    assert away(held)[1] < 0.8 * away(plain)[1]


def test_distillation_needs_an_open_teacher_with_the_same_tokens(tmp_path, base, corpus):
    with pytest.raises(InputError, match="only an open teacher shows"):
        run(tmp_path / "a", base, corpus, [160], **DISTIL)
    with pytest.raises(InputError, match="unknown in the teacher's"):
        run(tmp_path / "b", base, corpus, [160], teacher=base, **DISTIL)
    with pytest.raises(InputError, match="no teacher that can be listened to"):
        run(tmp_path / "c", base, corpus, [160], teacher=corpus, **DISTIL)
    with pytest.raises(InputError, match="one of the two"):
        run(tmp_path / "d", base, corpus, [160], teacher=base, kl=1.0, **DISTIL)
    with pytest.raises(InputError, match="nothing is learned"):
        run(tmp_path / "e", base, corpus, [160], pull=200.0)
    with pytest.raises(InputError, match="no linear layer 'nowhere'"):
        run(tmp_path / "f", base, corpus, [160], method="lora", lora={"targets": ["nowhere"]})


def test_the_example_study_asks_the_teacher_once():
    """All its corpora are the same answers: they share every step up to training."""
    from pathlib import Path

    from veneer.spec import load_study
    from veneer.steps import Step
    from veneer.trial import Trial

    study, here = load_study(str(Path(__file__).parents[2] / "examples/regularisers.yaml"))
    trial = Trial(study, here, seed=0)
    runs = {name: trial.trained("L", name) for name in study.corpora}
    cleaned = {trial.curated(name).fingerprint for name in study.corpora}
    assert len(cleaned) == 1
    assert len({run.fingerprint for run in runs.values()}) == len(study.corpora)
    assert isinstance(runs["distil"].inputs["teacher"], Step)
