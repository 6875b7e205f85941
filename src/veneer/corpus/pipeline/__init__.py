"""Curating: files in, a corpus and an account of every record out, at any scale."""

from __future__ import annotations

from typing import Any

from veneer.corpus.pipeline.settings import Curation, Decontamination, curation_of

__all__ = ["Curation", "Decontamination", "curate_files", "curation_of"]


def __getattr__(name: str) -> Any:
    """`curate_files` loads Arrow, so it is loaded when it is asked for."""
    if name == "curate_files":
        from veneer.corpus.pipeline.run import curate_files

        return curate_files
    raise AttributeError(name)
