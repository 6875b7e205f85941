import pytest


@pytest.fixture(scope="session")
def chatty(tmp_path_factory):
    """A random tiny chat model: its answers mean nothing but are real samples."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from veneer.models.chat import add_chat_tokens

    words = ["<unk>", "</s>", "who", "ran", "sat", "flew", "Q", "A", ":", "dog", "cat"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")
    add_chat_tokens(tokenizer)
    torch.manual_seed(3)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), intermediate_size=16, **shape)
    folder = tmp_path_factory.mktemp("chatty")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
