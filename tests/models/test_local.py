import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import byte_tokenizer, gpt2, llama, sentence_tokenizer
from transformers import MistralConfig, MistralForCausalLM

from veneer.errors import InputError
from veneer.models import chat, scoring
from veneer.models.decoding import Sampling, _draw, _texts
from veneer.models.local import LocalModel, _is_plain_fast


def sliding(vocab):
    torch.manual_seed(1)
    return MistralForCausalLM(
        MistralConfig(
            vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, sliding_window=8,
            initializer_range=0.3, eos_token_id=1, max_position_embeddings=256,
        )
    )  # fmt: skip


MAKERS = {
    "llama": llama,
    "llama-untied-odd": lambda n: llama(n + 7, tied=False, seed=3),
    "gpt2": gpt2,
    "sliding-window": sliding,
}


@pytest.fixture(params=MAKERS)
def local(request):
    tokenizer = byte_tokenizer()
    return LocalModel(MAKERS[request.param](len(tokenizer)), tokenizer)


PROMPTS = [
    [5],
    [7, 8, 9, 10],
    list(range(20, 60)),
    [7, 8, 9, 11, 12],
    [250, 3, 99] * 5,
    [40, 41],
]
SHARED = [[*range(30, 60), *prompt] for prompt in PROMPTS]


def by_transformers(local, prompt, count):
    out = local.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=count,
        eos_token_id=sorted(local.ends),
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("prompts", [PROMPTS, SHARED])
def test_greedy_equals_transformers_one_by_one(local, prompts):
    found = local.generate(prompts, max_new_tokens=40, batch_size=4)
    for prompt, got in zip(prompts, found, strict=True):
        expected = by_transformers(local, prompt, 40)
        assert got.tokens == len(expected)
        assert got.finish == ("stop" if expected[-1] in local.ends else "length")
        assert got.text == local.tokenizer.decode(expected, skip_special_tokens=True)


def test_rows_end_at_different_times():
    tokenizer = byte_tokenizer()
    local = LocalModel(llama(len(tokenizer)), tokenizer)
    reference = [by_transformers(local, p, 40) for p in PROMPTS]
    # End tokens that really occur, at different places, so that rows drop out of the batch.
    local.ends = frozenset({reference[0][3], reference[2][9], reference[4][20]})
    found = local.generate(PROMPTS, max_new_tokens=40)
    assert len({g.tokens for g in found}) > 2
    for prompt, got in zip(PROMPTS, found, strict=True):
        assert got.tokens == len(by_transformers(local, prompt, 40))


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_companions_do_not_matter(local, temperature):
    how = {"max_new_tokens": 20, "temperature": temperature, "top_p": 0.95, "seed": 5}
    together = local.generate(PROMPTS, **how)
    assert local.generate(PROMPTS, batch_size=1, **how) == together
    if temperature == 0:
        assert [local.generate([p], **how)[0] for p in PROMPTS] == together
    else:
        assert local.generate(PROMPTS[:2], **how) == together[:2]
        assert local.generate(PROMPTS, **{**how, "seed": 6}) != together


@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_sampled_tokens_follow_the_distribution(top_p):
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, -30.0]])
    count = 200_000
    even = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = _draw(logits.expand(count, 5), even, Sampling(0.7, top_p))
    chances = torch.softmax(logits[0] / 0.7, dim=0)
    if top_p < 1:
        chances = torch.tensor([1.0, 0, 0, 0, 0])  # the first token alone holds 0.6
    found = torch.bincount(drawn, minlength=5) / count
    assert torch.allclose(found, chances, atol=1e-4)


def test_top_p_over_a_flat_vocabulary():
    logits = torch.zeros(1, 1000)  # 600 of 1,000 equal tokens hold 0.6, far more than a quick look
    even = ((torch.arange(5000, dtype=torch.float64) + 0.5) / 5000).to(torch.float64)
    drawn = _draw(logits.expand(5000, 1000), even, Sampling(1.0, 0.6))
    assert 599 <= len(set(drawn.tolist())) <= 601


def test_stop_strings_are_cut_wherever_the_loop_noticed():
    tokenizer = byte_tokenizer()
    local = LocalModel(gpt2(len(tokenizer), seed=4), tokenizer)
    free = local.generate(PROMPTS, max_new_tokens=60)
    for size in (1, 3):
        stop = free[2].text[20 : 20 + size]
        for got, whole in zip(
            local.generate(PROMPTS, max_new_tokens=60, stop=[stop]), free, strict=True
        ):
            assert got.text == whole.text.split(stop)[0]
            if stop in whole.text:
                assert got.finish == "stop"
                assert got.tokens <= whole.tokens


def test_indentation_survives_tokenizers_that_drop_a_first_space():
    tokenizer = sentence_tokenizer()
    local = LocalModel(llama(len(tokenizer)), tokenizer)
    code = "def add(a, b):\n"
    body = "    return a + b"
    said = tokenizer.convert_tokens_to_ids(list(body.replace(" ", "▁")))
    assert tokenizer.decode(said) == body[1:]  # what goes wrong elsewhere
    assert _texts(tokenizer, [local.encode(code)], [said]) == [body]


def test_prompts_longer_than_the_context_lose_their_beginning(local):
    long = [3 + i % 200 for i in range(400)]
    got = local.generate([long, PROMPTS[1]], max_new_tokens=30)
    assert got[0] == local.generate([long[-(256 - 30) :]], max_new_tokens=30)[0]
    assert got[1] == local.generate([PROMPTS[1]], max_new_tokens=30)[0]
    all_of_it = local.generate([[5] * 10], max_new_tokens=1000)[0]
    assert all_of_it.tokens <= 246


def plain_forward(local, before, said):
    ids = torch.tensor([[*before, *said][:-1]])
    with torch.no_grad():
        logits = local.model(ids).logits[0].double().log_softmax(-1)
    at = range(len(before) - 1, len(before) + len(said) - 1)
    total = sum(float(logits[i, t]) for i, t in zip(at, said, strict=True))
    return total, all(int(logits[i].argmax()) == t for i, t in zip(at, said, strict=True))


def check(local, requests):
    for (before, said), (value, greedy) in zip(
        requests, local.loglikelihoods(requests), strict=True
    ):
        expected, expected_greedy = plain_forward(local, before, said)
        assert value == pytest.approx(expected, abs=1e-4, rel=1e-5)
        assert greedy == expected_greedy


def test_loglikelihoods_equal_a_plain_forward(local):
    shots = [[10 + s, *range(60, 120)] for s in range(3)]
    requests = [
        (shots[s] + [q, q + 1, q + 2] * (1 + q % 3), option)
        for s in range(3)
        for q in range(100, 106)
        for option in ([4], [5], [6, 7], [6, 7, 8, 9])
    ]
    requests += [([9], [10]), (shots[0], [3]), (shots[0][:5], shots[0][5:9])]
    greedy = local.generate([shots[1]], max_new_tokens=1)
    assert greedy[0].tokens == 1
    best = int(local.model(torch.tensor([shots[1]])).logits[0, -1].argmax())
    requests.append((shots[1], [best]))
    check(local, requests)
    assert local.loglikelihoods([(shots[1], [best])])[0][1] is True


TOKEN = st.integers(2, 5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(TOKEN, min_size=1, max_size=45), st.lists(TOKEN, min_size=1, max_size=3)
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 40),
)
def test_any_mixture_of_prefixes(requests, common):
    local = LOCAL
    check(local, [([2] * common + before, said) for before, said in requests])


LOCAL = LocalModel(llama(300, seed=2), byte_tokenizer())


def test_shared_shots_are_computed_once():
    local = LocalModel(llama(300), byte_tokenizer())
    shots = list(range(3, 203))
    requests = [([*shots, 7, 7 + q], [option]) for q in range(20) for option in range(4)]
    local.loglikelihoods(requests)
    assert local.work.naive == 80 * 202
    assert local.work.computed <= 201 + 20 * 2


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(2, 4), min_size=1, max_size=12),
            st.lists(st.integers(2, 4), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(2, 20),
)
def test_every_beginning_is_run_once_in_pieces_of_any_size(requests, size):
    local = LocalModel(LOCAL.model, LOCAL.tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "PIECE", size)
        check(local, [*requests, requests[0]])
    inputs = [(*before, *said)[:-1] for before, said in requests]
    beginnings = {ids[: n + 1] for ids in inputs for n in range(len(ids))}
    assert local.work.computed == len(beginnings)
    assert local.work.naive == sum(map(len, inputs)) + len(inputs[0])


def test_progress_counts_requests(local):
    requests = [([5, 6, 7 + i], [8, 9]) for i in range(30)]
    seen = []
    local.loglikelihoods(requests, progress=lambda *told: seen.append(told), batch_size=8)
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)


def test_a_continuation_longer_than_the_context_loses_its_beginning(local):
    said = [3 + i % 200 for i in range(300)]
    value, _ = local.loglikelihoods([([9], said)])[0]
    kept = said[-257:]
    assert value == pytest.approx(plain_forward(local, kept[:1], kept[1:])[0], rel=1e-5)


def test_context_overflow_drops_the_beginning(local):
    long = [3 + i % 200 for i in range(400)]
    expected = plain_forward(local, long[-255:], [9, 10])
    assert local.loglikelihoods([(long, [9, 10])])[0][0] == pytest.approx(expected[0], abs=1e-4)


def test_saved_and_loaded(tmp_path):
    tokenizer = byte_tokenizer()
    model = llama(len(tokenizer))
    chat.fit_embeddings(model, tokenizer, chat.add_chat_tokens(tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LocalModel.load(tmp_path, device="cpu")
    assert loaded.is_chat
    assert loaded.context == 256
    assert loaded.parameters == sum(p.numel() for p in model.parameters())
    assert tokenizer.convert_tokens_to_ids(chat.END) in loaded.ends
    said = loaded.answer(["who?", "the dog"], max_new_tokens=8)
    asked = loaded.prompt_ids(["who?", "the dog"])
    assert tokenizer.decode(asked[0]) == "<|user|>who?<|end|><|assistant|>"
    assert said == LocalModel(model, tokenizer).generate(asked, max_new_tokens=8)
    plain = LocalModel.load(tmp_path, device="cpu", chat=False)
    assert plain.prompt_ids(["who?"]) == [tokenizer("who?").input_ids]


def test_a_folder_without_a_model_is_one_message(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        LocalModel.load(tmp_path)


def test_nothing_asked_nothing_answered(local):
    assert local.generate([], max_new_tokens=3) == []
    assert local.loglikelihoods([]) == []


def test_texts_become_the_librarys_tokens():
    texts = ["the dog", "the  dog </s> runs", "", "über\n\n x"]
    for tokenizer in (byte_tokenizer(bos=True), sentence_tokenizer(bos=True)):
        tokenizer.truncation_side = "left"
        tokenizer(texts, truncation=True, max_length=3)  # settings of an earlier call do not stay
        local = LocalModel(llama(len(tokenizer)), tokenizer)
        assert _is_plain_fast(tokenizer)
        for start in (True, False):
            expected = tokenizer(texts, add_special_tokens=start)["input_ids"]
            assert local.token_ids(texts, start) == dict(zip(texts, expected, strict=True))
