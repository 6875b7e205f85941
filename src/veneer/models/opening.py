"""Open what answers: a model of this machine, or one behind an endpoint with its journal."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.models.asking import Model
from veneer.steps import Job, whole

if TYPE_CHECKING:
    from veneer.models.api.client import ApiModel

SPENDING = "spending.json"
ACCOUNT = ".account"


@dataclass(frozen=True)
class Means:
    """How an endpoint is reached; nothing here changes what it answers.

    key: the name of the environment variable that holds the key.
    collection: what spending is added up under; `usd` and `tokens` are its budget.
    prices: a price table that goes before ours. concurrency: requests in flight.
    requests_per_minute, tokens_per_minute: limits, where they are known; else they are learned.
    no_n: each sample in a request of its own. batch: through the provider's batch API, at half
    the price within a day.
    """

    key: str = "OPENAI_API_KEY"
    collection: str = ""
    usd: float | None = None
    tokens: int | None = None
    prices: Path | None = None
    concurrency: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    no_n: bool = False
    batch: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Means:
        """From a step's `means`; what else these hold is for others."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def account_of(folder: Path) -> str:
    """The name under which the journal adds up what a folder's runs spend; moves with the folder.

    It is made when it is first asked for.
    """
    path = folder / ACCOUNT
    if not path.exists():
        with whole(path, path.with_name(f"{ACCOUNT}-{uuid.uuid4().hex}")) as scratch:
            scratch.write_text(f"{uuid.uuid4().hex}\n", "utf-8")
    return path.read_text("utf-8").strip()


@contextlib.contextmanager
def endpoint_model(
    name: str, base_url: str | None, means: Means, *, logprobs: bool = False
) -> Iterator[ApiModel]:
    """A model behind an endpoint, its journal open for as long as the context lasts.

    Raises:
        InputError: no key, no such price table, a budget without a price, a damaged journal.
    """
    from veneer.models.api.batch import BatchModel
    from veneer.models.api.budget import Budget
    from veneer.models.api.client import ApiModel
    from veneer.models.api.endpoint import Endpoint

    limited = means.usd is not None or means.tokens is not None
    with (BatchModel if means.batch else ApiModel)(
        Endpoint(name, base_url, means.key),
        collection=means.collection,
        budget=Budget(means.usd, means.tokens) if limited else None,
        prices=means.prices,
        concurrency=means.concurrency,
        requests_per_minute=means.requests_per_minute,
        tokens_per_minute=means.tokens_per_minute,
        samples_per_request=1 if means.no_n else None,
        logprobs=logprobs,
    ) as model:
        yield model


@contextlib.contextmanager
def model_of(job: Job) -> Iterator[Model]:
    """The model that a step asks: the folder among its inputs, or the endpoint in its params.

    What an endpoint took is left in the step's spending.json.
    """
    if "model" in job.inputs:
        from veneer.models.local import LocalModel

        yield LocalModel.load(job.inputs["model"], chat=job.params.get("chat"))
        return
    endpoint = job.params.get("endpoint")
    if endpoint is None:
        raise InputError("A step has no model to ask.", "Give an input `model`, or an endpoint.")
    with endpoint_model(endpoint["model"], endpoint.get("base_url"), Means.of(job.means)) as model:
        yield model
        report = json.dumps(asdict(model.report()), indent=1, ensure_ascii=False)
        (job.out / SPENDING).write_text(report + "\n", "utf-8")
