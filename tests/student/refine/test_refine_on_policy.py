"""On-policy distillation against divergences computed by hand."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from veneer.errors import InputError, StepFailed
from veneer.models.local import LocalModel
from veneer.student.refine import read_refinement, training
from veneer.student.refine.on_policy import _that_fit, distil, trainer_of
from veneer.student.refine.vocabulary import FLOOR, bridge

THEIR_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|> {{ 'who' if m.role == 'user' else 'sky' }}"
    " {{ m.content }} <|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|> sky {% endif %}"
)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory, chat_model):
    """A teacher with the student's words and a template, markers and an end of its own."""
    folder = chat_model(tmp_path_factory.mktemp("foreign"), seed=4, width=32)
    tokenizer, model = load(folder)
    plain = AutoTokenizer.from_pretrained(folder)
    words = json.loads((folder / "tokenizer.json").read_text())
    names = {"<|user|>": "<|im_start|>", "<|assistant|>": "<|im_end|>", "<|end|>": "<|extra|>"}
    for token in words["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    (folder / "tokenizer.json").write_text(json.dumps(words))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"pad_token": "<|extra|>"}
    settings.pop("extra_special_tokens", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text(THEIR_TEMPLATE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == len(plain)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.save_pretrained(folder)
    return folder


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), model.eval()


def kl(student, teacher, tokenizer, texts, samples):
    """Mean over the student's answers' tokens of KL(student ‖ teacher), by plain passes."""
    total, count = 0.0, 0
    for text, said in zip(texts, samples, strict=True):
        turn = [{"role": "user", "content": text}]
        asked = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        ids = torch.tensor([asked + said])
        with torch.no_grad():
            ours, theirs = (
                m(ids).logits[0, len(asked) - 1 : -1].double().log_softmax(-1)
                for m in (student, teacher)
            )
        total += (ours.exp() * (ours - theirs)).sum().item()
        count += len(said)
    return total / count


def samples_of(folder, texts, seed):
    """Token ids of a model's sampled answers, drawn here and not by the code under test."""
    tokenizer, model = load(folder)
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    drawn = torch.Generator().manual_seed(seed)
    made = []
    for text in texts:
        turn = [{"role": "user", "content": text}]
        ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
        start = len(ids)
        while len(ids) < start + 8 and (len(ids) == start or ids[-1] != end):
            with torch.no_grad():
                chances = model(torch.tensor([ids])).logits[0, -1].softmax(-1)
            ids.append(int(torch.multinomial(chances, 1, generator=drawn)))
        made.append(ids[start:])
    return made


def test_the_student_comes_closer_to_the_teacher_on_questions_it_was_not_trained_on(
    distilled, student, teacher, questions
):
    out, seen = distilled
    _, wise = load(teacher)
    held_out = [f"what {question}" for question in questions(40)]
    found = []
    for folder in (student, out / "refined"):
        tokenizer, model = load(folder)
        found.append(kl(model, wise, tokenizer, held_out, samples_of(folder, held_out, 1)))
    assert found[1] < 0.6 * found[0]
    facts = json.loads((out / "refine.json").read_text())
    assert facts["loss"]["end"] < 0.6 * facts["loss"]["start"]
    assert facts["loss"]["start"] == pytest.approx(found[0], rel=0.25)
    assert (facts["prompts"], facts["steps"], facts["answers"]) == (44, 11, 88)
    assert facts["unread_tokens"] == 0
    assert seen == sorted(seen)


def by_hand(ours, theirs, beta, temperature):
    """Generalised JSD of two rows of logits, Agarwal et al. 2024, §3 (with TRL's limits)."""
    p, q = (x.double().div(temperature).log_softmax(-1) for x in (ours, theirs))
    if beta == 1.0:
        return (p.exp() * (p - q)).sum(-1)
    if beta == 0.0:
        return (q.exp() * (q - p)).sum(-1)
    mixed = torch.logaddexp(
        p + torch.log(torch.tensor(1 - beta)), q + torch.log(torch.tensor(beta))
    )
    return beta * (q.exp() * (q - mixed)).sum(-1) + (1 - beta) * (p.exp() * (p - mixed)).sum(-1)


@pytest.mark.parametrize(
    ("kind", "template", "beta", "temperature"),
    [
        ("llama", "ours", 1.0, 1.0),
        ("gpt2", "theirs", 1.0, 1.0),
        ("llama", "theirs", 0.5, 2.0),
        ("gpt2", "ours", 0.0, 1.0),
    ],
)
def test_the_loss_is_the_divergence_of_unpadded_passes_each_in_its_own_template(
    kind, template, beta, temperature, chat_model, questions, teacher, foreign, tmp_path
):
    folder = chat_model(tmp_path / "student", seed=6, kind=kind)
    pupil, wise = (
        LocalModel.load(folder),
        LocalModel.load(teacher if template == "ours" else foreign),
    )
    plain = AutoModelForCausalLM.from_pretrained(wise.name).eval()
    read = bridge(pupil, wise)
    settings = {"by": "on-policy", "prompts": 6, "batch": 6, "max_new_tokens": 8}
    refinement = read_refinement({**settings, "divergence": beta, "temperature": temperature})
    asked, _ = _that_fit(pupil, wise, questions(6), 8)
    trainer = trainer_of(pupil, wise, read, asked, refinement, 0, str(tmp_path))
    inputs = trainer._generate_and_score_completions(
        [{"prompt": [{"role": "user", "content": text}]} for text, *_ in asked]
    )
    loss, _, tokens = trainer._compute_loss(pupil.model, inputs, None)

    end = pupil.tokenizer.convert_tokens_to_ids("<|end|>")
    total, count = 0.0, 0
    for (text, *_), said, mask in zip(
        asked, inputs["completion_ids"], inputs["completion_mask"], strict=True
    ):
        said = said[mask.bool()].tolist()
        turn = [{"role": "user", "content": text}]
        ours, theirs = (
            m.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
            for m in (pupil, wise)
        )
        heard = [read.teacher_end if i == end else i for i in said]
        with torch.no_grad():
            mine = pupil.model(torch.tensor([ours + said])).logits[0, len(ours) - 1 : -1]
            want = plain(torch.tensor([theirs + heard])).logits[0, len(theirs) - 1 : -1]
        if template == "theirs":
            # Over the student's ids: the shared words, the end, nothing for the other markers.
            wanted = want.mean(dim=-1, keepdim=True).expand_as(mine) - FLOOR
            wanted = wanted.clone()
            shared = len(pupil.tokenizer) - 3
            wanted[:, :shared] = want[:, :shared]
            wanted[:, end] = want[:, read.teacher_end]
            want = wanted
        total += by_hand(mine, want, beta, temperature).sum().item()
        count += len(said)
    assert tokens == count
    assert loss.item() == pytest.approx(total / count, rel=1e-4)
    if template == "theirs":
        assert len(read.unread) == 2
        assert not torch.isin(inputs["completion_ids"], torch.tensor(read.unread)).any()
        assert wise.tokenizer.convert_ids_to_tokens(read.teacher_end) == "<|im_end|>"


def test_other_vocabularies_are_refused(student, chat_model, pool, refined, questions, tmp_path):
    words = ["sky", "the", "cat", "dog", "bird", "sat", "ran", "flew", "on", "under", "over"]
    other = chat_model(tmp_path / "other", seed=3, words=words)
    settings = {"by": "on-policy", "prompts": 5, "learning_rate": 1e-3}
    with pytest.raises(InputError) as caught:
        refined(tmp_path / "out", student, pool, other, **settings)
    assert "has another vocabulary than the student" in caught.value.message
    assert "by: preference" in caught.value.hint
    assert not list((tmp_path / "out").iterdir())


def test_prompts_without_room_for_an_answer_are_counted(student, teacher, questions):
    def models():
        return LocalModel.load(student), LocalModel.load(teacher)

    settings = {"by": "on-policy", "prompts": 5, "batch": 4, "max_new_tokens": 8}
    refinement = read_refinement(settings)
    long = "the cat " * 30
    facts, _ = distil(*models(), [*questions(4), long], refinement, 0, lambda *a: None)
    assert (facts["prompts"], facts["left_out"]) == (4, {"too long for the context": 1})
    with pytest.raises(StepFailed, match="None of 1 prompts leaves room"):
        distil(*models(), [long], refinement, 0, lambda *a: None)


def test_a_batch_in_several_passes_is_the_same_batch(student, teacher, questions, monkeypatch):
    settings = {"by": "on-policy", "prompts": 8, "batch": 8, "max_new_tokens": 8, "epochs": 3}
    refinement = read_refinement({**settings, "learning_rate": 1e-2})
    found = []
    for tokens, rows in ((1 << 14, 8), (60, 2)):
        monkeypatch.setattr(training, "TOKENS_IN_PASS", tokens)
        longest = max(map(len, LocalModel.load(student).prompt_ids(questions(8)))) + 8
        assert training.rows_in_pass(8, longest) == rows
        models = LocalModel.load(student), LocalModel.load(teacher)
        found.append(distil(*models, questions(8), refinement, 0, lambda *a: None)[1])
    for one, other in zip(*found, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_the_same_seed_writes_the_same_bytes(distilled, refined, student, pool, teacher, tmp_path):
    first, _ = distilled
    settings = json.loads((first / "refine.json").read_text())["refinement"]
    again, _ = refined(tmp_path / "again", student, pool, teacher, **settings)
    for name in ("refined/model.safetensors", "refine.json", "loss.jsonl"):
        assert (first / name).read_bytes() == (again / name).read_bytes(), name
