"""Texts and numbers of the harness beside lm-eval's own HF backend, for tokenizers of each kind."""

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from small_models import TEXT, byte_tokenizer, llama
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from veneer.errors import InputError
from veneer.measure.harness import Harness
from veneer.models.local import LocalModel


def word_tokenizer():
    """Llama-2-like: a word's space is its first sign, and decoding drops a text's first one."""
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tok.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tok.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def asked(kind, arguments):
    return [
        Instance(request_type=kind, doc={}, arguments=args, idx=0, metadata=("t", i, 1))
        for i, args in enumerate(arguments)
    ]


def both(tokenizer, context=96):
    tokenizer.pad_token = "</s>"
    model = llama(len(tokenizer), context=context, seed=3)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    # One by one: in lm-eval a batch's first prompt decides for all whether they get a start token.
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    return Harness(LocalModel(model, tokenizer)), theirs


@pytest.mark.parametrize("make", [byte_tokenizer, lambda: byte_tokenizer(bos=True), word_tokenizer])
def test_generated_texts_are_those_of_lm_evals_backend(make):
    ours, theirs = both(make())
    assert ours._drops_space == (make is word_tokenizer)
    prompts = [*TEXT, "the", "the lazy", "<s>the quick", " ".join(TEXT * 4)]
    for until in (["\n"], ["og", "e"], []):
        settings = {"until": until, "max_gen_toks": 24, "do_sample": False}
        requests = asked("generate_until", [(prompt, settings) for prompt in prompts])
        expected = theirs.generate_until(requests, disable_tqdm=True)
        assert ours.generate_until(requests) == expected
        assert len(set(expected)) > 2
    assert ours.cut == {"t": 3 * sum(len(ours.tok_encode(p)) > 96 - 24 for p in prompts)}


@pytest.mark.parametrize("make", [lambda: byte_tokenizer(bos=True), word_tokenizer])
def test_a_start_token_that_is_written_is_not_doubled(make):
    ours, theirs = both(make())
    pairs = [("<s>the quick", " brown"), ("the quick", " brown"), ("", "the fox"), ("<s>a", " fox")]
    requests = asked("loglikelihood", pairs)
    expected = theirs.loglikelihood(requests, disable_tqdm=True)
    for (value, greedy), (other, other_greedy) in zip(
        ours.loglikelihood(requests), expected, strict=True
    ):
        assert value == pytest.approx(other, abs=1e-4)
        assert greedy == other_greedy
    rolling = asked("loglikelihood_rolling", [(text,) for text in ("<s>the fox", " ".join(TEXT))])
    assert ours.loglikelihood_rolling(rolling) == pytest.approx(
        theirs.loglikelihood_rolling(rolling, disable_tqdm=True), rel=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"num_beams": 4}, True),
        ({"repetition_penalty": 1.2}, True),
        ({"do_sample": True, "temperature": 1.0, "top_k": 5}, True),
        ({"do_sample": False, "top_k": 5}, False),
        ({"num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 3}, False),
    ],
)
def test_settings_that_would_change_answers_are_refused(settings, refused):
    ours, _ = both(byte_tokenizer())
    requests = asked("generate_until", [("the", {"until": [], "max_gen_toks": 3, **settings})])
    if refused:
        with pytest.raises(InputError, match="not known here"):
            ours.generate_until(requests)
    else:
        assert len(ours.generate_until(requests)) == 1
