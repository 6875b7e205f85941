"""The same bytes under Ray Data as in local processes."""

import importlib.util
import json

import pytest

from veneer.corpus.pipeline import Curation, curate_files
from veneer.errors import InputError

RESULTS = ("corpus.jsonl", "dropped.jsonl", "stats.json", "card.md")


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_ray_gives_the_same_bytes(tmp_path):
    with (tmp_path / "talks.jsonl").open("w") as out:
        for n in range(3300):
            texts = [f"Tell me about number {n % 2500}, please", f"It is {n}.", "And?", f"{n}!"]
            roles = ["human", "gpt"] * 2
            said = [{"from": r, "value": t} for r, t in zip(roles, texts, strict=True)]
            line = json.dumps({"conversations": said[: 2 + 2 * (n % 2)]})
            out.write((line if n % 500 else "{broken") + "\n")
    options = Curation(split=10, diversity=0, identity=True)
    for backend in ("local", "ray"):
        stats = curate_files(
            [tmp_path / "talks.jsonl"], tmp_path / backend, settings=options, backend=backend
        )
        assert stats["split_off"] > 1000
        assert stats["dropped"]["a query met before"] > 700
    for name in RESULTS:
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
    import ray

    assert not ray.is_initialized()


def test_without_ray_one_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    with pytest.raises(InputError, match=r"pip install \"veneer\[ray\]\""):
        curate_files([tmp_path / "a.jsonl"], tmp_path / "out", backend="ray")
