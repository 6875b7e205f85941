import pytest
from small_models import byte_tokenizer, llama

from veneer.errors import SpecError
from veneer.models.resolve import ModelRef, local_folder, parse_model, resolve


def test_names_parse():
    assert parse_model("hf:Qwen/Qwen3-0.6B-Base") == ModelRef("hf", "Qwen/Qwen3-0.6B-Base")
    assert parse_model("hf:C:/models/x") == ModelRef("hf", "C:/models/x")
    assert str(parse_model("pocket:L")) == "pocket:L"


@pytest.mark.parametrize("text", ["gpt-4", "hg:model", "hf:", "", ":x"])
def test_bad_names_say_the_schemes(text):
    with pytest.raises(SpecError) as caught:
        parse_model(text)
    assert "hf:" in caught.value.hint
    assert "pocket:" in caught.value.hint
    assert caught.value.exit_code == 2


def test_hf_folders_load_and_pocket_does_not(tmp_path):
    tokenizer = byte_tokenizer()
    llama(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert resolve(f"hf:{tmp_path}", device="cpu").parameters > 0
    assert local_folder(ModelRef("hf", str(tmp_path))) == tmp_path
    assert local_folder(ModelRef("hf", "org/name")) is None
    with pytest.raises(SpecError, match="pocket study"):
        resolve("pocket:L")
