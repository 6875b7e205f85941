import pytest
import torch
from odd_shapes import ENCODER_DECODERS, sentence_piece_tokenizer, t5, t5_tokenizer
from small_models import byte_tokenizer

from veneer.models import chat
from veneer.models.asking import Ask
from veneer.models.encoder_decoder import start_of
from veneer.models.local import LocalModel
from veneer.records import Message


@pytest.fixture(params=ENCODER_DECODERS)
def local(request):
    tokenizer = t5_tokenizer()
    return LocalModel(ENCODER_DECODERS[request.param](len(tokenizer)), tokenizer)


PROMPTS = [[5], [7, 8, 9, 1], list(range(20, 60)), [7, 8, 9, 10, 1], [250, 3, 99] * 5, [40, 41]]


def by_transformers(local, prompt, count):
    out = local.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        num_beams=1,
        max_new_tokens=count,
        eos_token_id=sorted(local.ends),
    )
    return out[0, 1:].tolist()


def test_greedy_equals_transformers_one_by_one(local):
    reference = [by_transformers(local, prompt, 24) for prompt in PROMPTS]
    # End tokens that really occur, at different places, so that rows drop out of the batch.
    local.ends = frozenset({1, reference[0][3], reference[2][9], reference[4][20]})
    found = local.generate(PROMPTS, max_new_tokens=24, batch_size=4)
    for prompt, got in zip(PROMPTS, found, strict=True):
        expected = by_transformers(local, prompt, 24)
        ended = expected[-1] in local.ends
        assert got.tokens == len(expected)
        assert got.finish == ("stop" if ended else "length")
        said = expected[:-1] if ended else expected
        assert got.text == local.tokenizer.decode(said, skip_special_tokens=True)
    assert len(set(map(tuple, reference))) > 2
    assert len({got.tokens for got in found}) > 1


def test_a_decoder_deeper_than_its_encoder():
    """Where `transformers.generate` itself fails: token by token by plain forward passes."""
    tokenizer = t5_tokenizer()
    local = LocalModel(t5(len(tokenizer), num_decoder_layers=4), tokenizer)
    local.ends = frozenset({1})
    expected = [start_of(local.model)]
    while len(expected) < 13 and expected[-1] != 1:
        logits = local.model(
            input_ids=torch.tensor([PROMPTS[2]]), decoder_input_ids=torch.tensor([expected])
        ).logits
        expected.append(int(logits[0, -1].argmax()))
    got = local.generate([PROMPTS[2]], max_new_tokens=12)[0]
    assert got.text == tokenizer.decode(expected[1:], skip_special_tokens=True)
    assert got.tokens == len(expected) - 1


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_companions_do_not_matter(local, temperature):
    how = {"max_new_tokens": 20, "temperature": temperature, "top_p": 0.95, "seed": 5}
    together = local.generate(PROMPTS, **how)
    assert local.generate(PROMPTS, batch_size=1, **how) == together
    if temperature:
        assert local.generate(PROMPTS[:2], **how) == together[:2]
        assert local.generate(PROMPTS, **{**how, "seed": 6}) != together


def test_sampled_tokens_follow_the_models_distribution():
    tokenizer = t5_tokenizer()
    local = LocalModel(t5(len(tokenizer)), tokenizer)
    said = local.generate([[7, 8]] * 2000, max_new_tokens=1, temperature=0.7)
    logits = local.model(
        input_ids=torch.tensor([[7, 8]]), decoder_input_ids=torch.tensor([[start_of(local.model)]])
    ).logits
    chances = torch.softmax(logits[0, 0] / 0.7, -1)
    best = int(chances.argmax())
    share = sum(one.text == tokenizer.decode([best]) for one in said) / 2000
    assert share == pytest.approx(chances[best].item(), abs=0.04)


def test_stop_strings_are_cut_off():
    tokenizer = t5_tokenizer()
    local = LocalModel(t5(len(tokenizer), seed=4), tokenizer)
    free = local.generate(PROMPTS, max_new_tokens=60)
    whole = max(free, key=lambda one: len(one.text)).text
    for size in (1, 3):
        stop = whole[20 : 20 + size]
        for got, before in zip(
            local.generate(PROMPTS, max_new_tokens=60, stop=[stop]), free, strict=True
        ):
            assert got.text == before.text.split(stop)[0]
            assert got.finish == ("stop" if stop in before.text else before.finish)


def test_prompt_and_answer_have_the_context_each():
    tokenizer = t5_tokenizer(longest=30)
    local = LocalModel(t5(len(tokenizer), seed=4), tokenizer)
    assert local.context == 30
    long = [3 + i % 200 for i in range(70)]
    asked = local.generate([long, PROMPTS[1]], max_new_tokens=100)
    assert asked == local.generate([long[-30:], PROMPTS[1]], max_new_tokens=30)
    assert max(one.tokens for one in asked) <= 30


def test_the_context_is_the_tokenizers_or_the_positions():
    unlimited = t5_tokenizer(longest=None)
    assert LocalModel(t5(len(unlimited)), unlimited).context == 512
    assert LocalModel(ENCODER_DECODERS["bart"](len(unlimited)), unlimited).context == 160


# ---- log-likelihoods --------------------------------------------------------------------------


def plain_forward(local, before, said):
    """The model's own loss over its labels, and whether each label is its best guess."""
    with torch.no_grad():
        out = local.model(input_ids=torch.tensor([before]), labels=torch.tensor([said]))
    greedy = out.logits[0].argmax(-1).tolist() == list(said)
    return -out.loss.item() * len(said), greedy


def test_loglikelihoods_equal_a_plain_forward(local):
    shots = [[10 + s, *range(60, 120)] for s in range(3)]
    requests = [
        ([*shots[s], *[q, q + 1] * (1 + q % 3), 1], option)
        for s in range(3)
        for q in range(100, 104)
        for option in ([4], [5], [6, 7], [6, 7, 8, 9], [6, 8])
    ]
    requests += [([9], [10]), ([9], [10]), (shots[0], [3])]
    best = plain_forward(local, shots[1], [4])
    logits = local.model(
        input_ids=torch.tensor([shots[1]]),
        decoder_input_ids=torch.tensor([[start_of(local.model)]]),
    ).logits
    requests.append((shots[1], [int(logits[0, -1].argmax())]))
    found = local.loglikelihoods(requests, batch_size=7)
    for (before, said), (value, greedy) in zip(requests, found, strict=True):
        expected, expected_greedy = plain_forward(local, before, said)
        assert value == pytest.approx(expected, abs=1e-4, rel=1e-5)
        assert greedy == expected_greedy
    assert found[-1][1] is True
    assert best[0] <= found[-1][0]
    assert local.work.computed < local.work.naive / 2


def test_answer_logits_are_those_of_a_plain_forward(local):
    pairs = [(PROMPTS[2], [5, 6, 7]), (PROMPTS[0], [9]), (PROMPTS[2], [8, 4])]
    for (before, said), logits in zip(pairs, local.answer_logits(pairs), strict=True):
        with torch.no_grad():
            out = local.model(input_ids=torch.tensor([before]), labels=torch.tensor([said]))
        assert torch.allclose(logits, out.logits[0], atol=1e-3, rtol=1e-4)


def test_harness_equals_lm_evals_own_seq2seq_backend(local):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from veneer.measure.harness import Harness

    pairs = [(f"Q: who is {n}?\nA:", f" {letter}") for n in range(4) for letter in "ABCD"]
    pairs += [("Q: who?\nA: ", "fox"), ("", "the dog"), ("the", " quick brown fox jumps")]
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0, metadata=("t", i, 1))
        for i, pair in enumerate(pairs)
    ]
    theirs = HFLM(
        pretrained=local.model, tokenizer=local.tokenizer, backend="seq2seq", batch_size=4
    ).loglikelihood(asked, disable_tqdm=True)
    ours = Harness(local).loglikelihood(asked)
    for (value, greedy), (expected, expected_greedy) in zip(ours, theirs, strict=True):
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


# ---- the template, saving -----------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [0, 28])
def test_a_model_with_markers_is_saved_and_loaded(tmp_path, tied, padding):
    """The head of Flan-T5 stays apart from its embeddings, whether the vocabulary grows or not."""
    tokenizer = t5_tokenizer()
    model = t5(len(tokenizer) + padding, tied=tied)
    size = len(tokenizer)
    ids = torch.tensor([[5, 6, 7, 1]])
    before = model(input_ids=ids, labels=ids).logits[..., :size]
    chat.fit_embeddings(model, tokenizer, chat.add_chat_tokens(tokenizer))
    assert torch.equal(model(input_ids=ids, labels=ids).logits[..., :size], before)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LocalModel.load(tmp_path, device="cpu")
    assert torch.allclose(
        loaded.model(input_ids=ids, labels=ids).logits[..., :size], before, atol=1e-5
    )
    assert loaded.is_chat
    assert loaded.reads_apart
    assert loaded.ends == {1, tokenizer.convert_tokens_to_ids(chat.END)}
    assert loaded.parameters == model.num_parameters()
    again = (Message(role="user", content="who?"), Message(role="assistant", content="me"))
    asked = [Ask.of("who?"), Ask((*again, Message(role="user", content="why")))]
    replies = loaded.ask(asked, max_new_tokens=8)
    prompts = chat.render_prompts([one.messages for one in asked], tokenizer)
    said = loaded.generate(prompts, max_new_tokens=8)
    assert [reply.text for reply in replies] == [one.text.strip() for one in said]


def test_the_template_equals_the_renderer_with_sentence_pieces():
    tokenizer = sentence_piece_tokenizer()
    chat.add_chat_tokens(tokenizer)
    dialogue = [
        Message(role="user", content="who wrote the book?"),
        Message(role="assistant", content="nobody </s> knows"),
    ]
    turns = [m.model_dump(include={"role", "content"}) for m in dialogue]
    written = tokenizer.apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    rendered = chat.render(dialogue, tokenizer)
    assert rendered.ids == written["input_ids"]
    assert [int(m) for m in rendered.mask] == written["assistant_masks"]
    assert 1 not in rendered.ids, "T5's own end is not spelled within a dialogue"


def test_a_decoder_only_checkpoint_is_still_one(tmp_path):
    from small_models import llama

    tokenizer = byte_tokenizer()
    llama(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert not LocalModel.load(tmp_path, device="cpu").reads_apart
