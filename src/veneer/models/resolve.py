"""Names of models: `openai:NAME` answers behind an endpoint, `hf:PATH` is a Hugging Face folder
or hub id, `pocket:NAME` a model of the embedded study.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from veneer.errors import InputError, SpecError, nearest
from veneer.steps import Job

if TYPE_CHECKING:
    from veneer.models.local import LocalModel

SCHEMES = {
    "openai": "a model behind an OpenAI-compatible endpoint, as in openai:gpt-5.1",
    "hf": "a Hugging Face model folder or hub id, as in hf:Qwen/Qwen3-0.6B-Base",
    "pocket": "a model that the pocket study trains, as in pocket:L",
}


@dataclass(frozen=True)
class ModelRef:
    """A parsed model name; `str(ref)` gives it back."""

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


def parse_model(text: str) -> ModelRef:
    """`scheme:name` as a ModelRef; anything else is a SpecError that names the schemes."""
    scheme, colon, name = text.partition(":")
    known = "\n".join(f"  {key}:  {what}" for key, what in SCHEMES.items())
    if not colon:
        raise SpecError(
            f"Model {text!r} does not say where it lives.",
            f"Write it as scheme:name, e.g. hf:{text or 'PATH'}. Schemes:\n{known}",
        )
    if scheme not in SCHEMES:
        raise SpecError(
            f"Unknown model scheme {scheme!r} in {text!r}.",
            f"{nearest(scheme, SCHEMES)} Schemes:\n{known}",
        )
    if not name.strip():
        raise SpecError(
            f"Model {text!r} has no name after the colon.",
            f"Schemes:\n{known}",
        )
    return ModelRef(scheme, name)


def resolve(ref: ModelRef | str, device: str = "auto") -> LocalModel:
    """Load the model that a reference names. Pocket models are resolved by their study."""
    ref = parse_model(ref) if isinstance(ref, str) else ref
    if ref.scheme != "hf":
        raise SpecError(
            f"{ref} exists only inside a run of the pocket study.",
            "Give the folder it was saved in: hf:RUN/steps/…",
        )
    from veneer.models.local import LocalModel

    return LocalModel.load(ref.name, device=device)


def local_folder(ref: ModelRef) -> Path | None:
    """The folder that an `hf:` reference names, or None where it is a hub id."""
    path = Path(ref.name).expanduser()
    return path if ref.scheme == "hf" and path.is_dir() else None


def fetch_model(job: Job) -> None:
    """Step: bring a model from the Hugging Face hub.

    params: `id` (organisation/name), optional `revision`. Writes the folder model/.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    name, revision = job.params["id"], job.params.get("revision")
    job.progress(0, 1, name)
    try:
        snapshot_download(
            name,
            revision=revision,
            local_dir=job.out / "model",
            allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"],
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InputError(
            f"The model {name!r} cannot be fetched: {str(error).splitlines()[0]}",
            "Check the name, the network and HF_TOKEN, or give a local folder: hf:FOLDER.",
        ) from error
    job.progress(1, 1, name)
