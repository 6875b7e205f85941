"""The judge server is importable; no test touches the user's own journal."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]


@pytest.fixture(autouse=True)
def away_from_the_users_files(tmp_path, monkeypatch):
    monkeypatch.setenv("VENEER_JOURNAL", str(tmp_path / "journal.sqlite"))
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "VENEER_PRICES"):
        monkeypatch.delenv(name, raising=False)
