from types import SimpleNamespace

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


def test_fetching_writes_the_model_folder(tmp_path, monkeypatch):
    import huggingface_hub

    from veneer.errors import InputError
    from veneer.models.resolve import fetch_model

    asked = {}

    def bring(name, revision, local_dir, allow_patterns):
        asked.update(name=name, revision=revision)
        local_dir.mkdir()
        (local_dir / "config.json").write_text("{}")

    def absent(*_, **__):
        raise OSError("no such repository\nmore")

    params = {"id": "org/name", "revision": "abc"}
    job = SimpleNamespace(out=tmp_path, params=params, inputs={}, progress=lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", bring)
    fetch_model(job)
    assert asked == {"name": "org/name", "revision": "abc"}
    assert (tmp_path / "model" / "config.json").exists()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", absent)
    with pytest.raises(InputError, match="no such repository"):
        fetch_model(job)
