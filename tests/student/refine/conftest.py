"""Two tiny chat models of one vocabulary, a student and a teacher, and what users ask."""

import pytest

from veneer.records import Prompt, write_rows

SENTENCE = "the cat dog bird sat ran flew on under over mat log sky who where what is a . ?"
WORDS = SENTENCE.split()


def tokenizer_of(words, bos=True):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def chat_model(folder, seed, words=WORDS, width=16, spread=0.5, kind="llama"):
    """A random model that answers in our template; `spread` is the size of its weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from veneer.models.chat import END, add_chat_tokens, fit_embeddings

    torch.manual_seed(seed)
    tokenizer = tokenizer_of(words)
    common = {"vocab_size": len(tokenizer), "initializer_range": spread}
    common |= {"bos_token_id": 1, "eos_token_id": 2}
    if kind == "gpt2":
        config = GPT2Config(n_embd=width, n_layer=1, n_head=2, n_positions=64, **common)
        model = GPT2LMHeadModel(config)
    else:
        config = LlamaConfig(
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=64,
            tie_word_embeddings=False,
            **common,
        )
        model = LlamaForCausalLM(config)
    fit_embeddings(model, tokenizer, add_chat_tokens(tokenizer), {END: (".", "?")})
    tokenizer.pad_token = END
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def questions(n):
    """`n` different questions of different lengths."""
    return [
        f"{WORDS[13 + i % 3]} is {' '.join(WORDS[(i * k + k) % 12] for k in range(1, 2 + i % 4))} "
        f"{WORDS[i % 13]} {WORDS[(i // 13) % 13]} ?"
        for i in range(n)
    ]


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    return chat_model(tmp_path_factory.mktemp("student"), seed=1)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory):
    return chat_model(tmp_path_factory.mktemp("teacher"), seed=2, width=24)


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    write_rows(folder / "prompts.jsonl", [Prompt(text=text) for text in questions(120)])
    return folder


@pytest.fixture(scope="session", name="chat_model")
def _chat_model():
    return chat_model


@pytest.fixture(scope="session", name="questions")
def _questions():
    return questions


def refined(out, student, pool, teacher, **refinement):
    """The step's output folder and how far it said it was."""
    from veneer.steps import Job
    from veneer.student.refine import refine

    seen = []
    out.mkdir()
    refine(
        Job(
            out=out,
            params={"refinement": {"max_new_tokens": 8, "batch": 8, **refinement}, "seed": 5},
            inputs={"student": student, "prompts": pool, "model": teacher},
            progress=lambda done, total, note="": seen.append(done / total),
        )
    )
    return out, seen


PREFERENCE = {"by": "preference", "prompts": 40, "learning_rate": 3e-3, "epochs": 3}
ON_POLICY = {"by": "on-policy", "prompts": 44, "learning_rate": 3e-2, "epochs": 2}


@pytest.fixture(scope="session")
def preferred(tmp_path_factory, student, pool, teacher):
    return refined(tmp_path_factory.mktemp("refined") / "p", student, pool, teacher, **PREFERENCE)


@pytest.fixture(scope="session")
def distilled(tmp_path_factory, student, pool, teacher):
    return refined(tmp_path_factory.mktemp("refined") / "d", student, pool, teacher, **ON_POLICY)


@pytest.fixture(scope="session", name="refined")
def _refined():
    return refined
