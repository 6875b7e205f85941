"""GPT-2's shape, and a look at the other decoder-only families: they generate and score as the
library does one by one."""

import pytest
import torch
from odd_shapes import DECODERS, decoder, gpt2, gpt2_tokenizer
from small_models import byte_tokenizer

from veneer.models import chat
from veneer.models.local import LocalModel
from veneer.records import Message

PREFIX = list(range(30, 60))
PROMPTS = [[5], [7, 8, 9, 10], list(range(20, 60)), [7, 8, 9, 11, 12], [200, 3, 99] * 5]
SHARED = [[*PREFIX, *prompt] for prompt in PROMPTS]


def gpt2_local():
    tokenizer = gpt2_tokenizer()
    return LocalModel(gpt2(tokenizer), tokenizer)


def family(name):
    tokenizer = byte_tokenizer()
    return LocalModel(decoder(name, len(tokenizer)), tokenizer)


@pytest.fixture(params=["gpt2", *DECODERS])
def local(request):
    return gpt2_local() if request.param == "gpt2" else family(request.param)


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


def plain_forward(local, before, said):
    ids = torch.tensor([[*before, *said][:-1]])
    with torch.no_grad():
        logits = local.model(ids).logits[0].double().log_softmax(-1)[len(before) - 1 :]
    total = sum(float(row[token]) for row, token in zip(logits, said, strict=True))
    return total, logits.argmax(-1).tolist() == list(said)


@pytest.mark.parametrize("prompts", [PROMPTS, SHARED], ids=["padded", "shared"])
def test_greedy_equals_transformers_one_by_one(local, prompts):
    reference = [by_transformers(local, prompt, 24) for prompt in prompts]
    local.ends = frozenset({*local.ends, reference[2][len(reference[2]) // 2], reference[4][-2]})
    found = local.generate(prompts, max_new_tokens=24, batch_size=4)
    for prompt, got in zip(prompts, found, strict=True):
        expected = by_transformers(local, prompt, 24)
        ended = expected[-1] in local.ends
        assert (got.tokens, got.finish) == (len(expected), "stop" if ended else "length")
        said = expected[:-1] if ended else expected
        assert got.text == local.tokenizer.decode(said, skip_special_tokens=True)
    assert len(set(map(tuple, reference))) > 2


def test_loglikelihoods_equal_a_plain_forward(local):
    shots = [[10 + s, *range(60, 120)] for s in range(2)]
    requests = [
        (shots[s] + [q, q + 1] * (1 + q % 3), option)
        for s in range(2)
        for q in range(100, 104)
        for option in ([4], [5], [6, 7], [6, 7, 8, 9])
    ]
    requests += [([9], [10]), (shots[0], [3]), (shots[0][:5], shots[0][5:9])]
    requests.append((list(range(3, 252)), [9, 10, 11, 12]))  # up to the last position
    for (before, said), (value, greedy) in zip(
        requests, local.loglikelihoods(requests), strict=True
    ):
        expected, expected_greedy = plain_forward(local, before, said)
        assert value == pytest.approx(expected, abs=1e-4, rel=1e-5)
        assert greedy == expected_greedy


def test_answer_logits_are_those_of_a_plain_forward(local):
    pairs = [(PROMPTS[2], [5, 6, 7]), (PROMPTS[0], [9]), (PROMPTS[1], [8, 4])]
    for (before, said), logits in zip(pairs, local.answer_logits(pairs), strict=True):
        with torch.no_grad():
            whole = local.model(torch.tensor([[*before, *said]])).logits[0]
        assert torch.allclose(logits, whole[len(before) - 1 : -1], atol=1e-3, rtol=1e-4)


# ---- one token that begins and ends everything --------------------------------------------------


def test_an_answer_ends_at_the_token_that_also_begins_texts(tmp_path):
    local = gpt2_local()
    everything = local.tokenizer.eos_token_id
    assert local.tokenizer.bos_token_id == everything == len(local.tokenizer) - 1
    assert local.ends == {everything}
    assert everything not in local.encode("the dog")
    with torch.no_grad():  # a model that says "the dog" is over whatever it reads
        local.model.transformer.wte.weight[everything] *= 0
        local.model.transformer.ln_f.bias[:] = 10.0
        local.model.transformer.wte.weight[everything] += 10.0
    (got,) = local.generate([local.encode("the dog")], max_new_tokens=5)
    assert (got.text, got.tokens, got.finish) == ("", 1, "stop")
    (empty,) = local.generate([[]], max_new_tokens=5)
    assert empty.finish == "stop"


def test_markers_are_added_to_an_odd_vocabulary_and_survive_saving(tmp_path):
    tokenizer = gpt2_tokenizer()
    model = gpt2(tokenizer)
    size = len(tokenizer)
    assert size % 2 == 1
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids).logits
    added = chat.add_chat_tokens(tokenizer)
    chat.fit_embeddings(model, tokenizer, added, {chat.END: ["<|endoftext|>"]})
    rows = model.get_input_embeddings().weight
    assert rows.shape[0] == size + 3
    assert model.get_output_embeddings().weight is rows
    end = tokenizer.convert_tokens_to_ids(chat.END)
    assert torch.equal(rows[end], rows[tokenizer.eos_token_id])
    assert torch.allclose(model(ids).logits[..., :size], before, atol=1e-5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LocalModel.load(tmp_path, device="cpu")
    assert loaded.ends == {tokenizer.eos_token_id, end}
    assert loaded.context == 256
    dialogue = [
        Message(role="user", content="who <|endoftext|> ran?"),
        Message(role="assistant", content="the dog"),
    ]
    turns = [m.model_dump(include={"role", "content"}) for m in dialogue]
    rendered = chat.render(dialogue, loaded.tokenizer)
    written = loaded.tokenizer.apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    assert rendered.ids == written["input_ids"]
    assert [int(m) for m in rendered.mask] == written["assistant_masks"]
    assert tokenizer.eos_token_id not in rendered.ids


def test_harness_equals_lm_evals_own_hf_backend():
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from veneer.measure.harness import Harness

    local = gpt2_local()
    pairs = [(f"Q: who is {n}?\nA:", f" {letter}") for n in range(4) for letter in "ABCD"]
    pairs += [("Q: who?\nA: ", "fox"), ("", "the dog"), ("the", " quick brown fox jumps")]
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0, metadata=("t", i, 1))
        for i, pair in enumerate(pairs)
    ]
    theirs = HFLM(pretrained=local.model, tokenizer=local.tokenizer, batch_size=4)
    for (value, greedy), (expected, expected_greedy) in zip(
        Harness(local).loglikelihood(asked),
        theirs.loglikelihood(asked, disable_tqdm=True),
        strict=True,
    ):
        assert value == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy
