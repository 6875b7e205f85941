"""A provider's batch jobs as they stand at the provider: hand in, find, look at, fetch."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar

from veneer.errors import InputError, VeneerError

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

    from veneer.models.api.endpoint import Endpoint

NAME = "veneer_batch"
"""The key of our name in a batch's metadata at the provider."""
CLOSED = ("completed", "failed", "expired", "cancelled")
EXPIRED = 598
"""Stands for the HTTP status of a line that the provider did not get to."""
SLOWEST = 60.0
"""Seconds between two looks, at most."""
ATTEMPTS = 6
_DAY = 86400

T = TypeVar("T")


@dataclass(frozen=True)
class Counter:
    """Where batches are handed in; patient with a network that comes and goes.

    `pause` is the first wait between attempts, in seconds.

    Every method raises:
        InputError: the endpoint rejects the key or the request, or knows no batch API.
        VeneerError: it cannot be reached.
    """

    client: OpenAI
    endpoint: Endpoint
    pause: float

    def upload(self, name: str, lines: Iterable[bytes]) -> str:
        """The id of a new file of requests."""
        with tempfile.TemporaryFile() as file:
            file.writelines(lines)

            def send() -> str:
                file.seek(0)
                given = (f"{name}.jsonl", file)
                return self.client.files.create(file=given, purpose="batch").id

            return self._patiently(send)

    def create(self, name: str, file_id: str, since: int) -> str:
        """The id of a new batch of an uploaded file; where an attempt may have created it, of that.

        `since` as in `find`.
        """
        import openai

        once = self.client.with_options(max_retries=0)
        for wait in self._waits():
            try:
                return once.batches.create(
                    input_file_id=file_id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={NAME: name},
                ).id
            except openai.APIError as error:
                self._or_rejected(error)
            time.sleep(wait)
            if (found := self.find(name, since)) is not None:
                return found
        raise self._out_of_reach()

    def find(self, name: str, since: int) -> str | None:
        """The id of the batch that carries our name, where one was created after `since`.

        `since`: Unix time; a day is allowed for clocks that differ.
        """

        def look() -> str | None:
            for batch in self.client.batches.list(limit=100):
                if (batch.metadata or {}).get(NAME) == name:
                    return batch.id
                if batch.created_at < since - _DAY:
                    return None
            return None

        return self._patiently(look)

    def look(self, id: str) -> Batch:
        """A batch as it stands."""
        return self._patiently(lambda: self.client.batches.retrieve(id))

    def lines(self, batch: Batch) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
        """(custom_id, HTTP status, body) of all that a closed batch brought, in no order.

        A line that cannot be read belongs to nobody and is left out.
        """
        for id in (batch.output_file_id, batch.error_file_id):
            if not id:
                continue
            with tempfile.TemporaryFile() as file:
                self._patiently(lambda id=id, file=file: self._download(id, file))  # type: ignore[misc]
                file.seek(0)
                for raw in file:
                    if (line := _read_line(raw)) is not None:
                        yield line

    def _download(self, id: str, file: IO[bytes]) -> None:
        file.seek(0)
        file.truncate()
        with self.client.files.with_streaming_response.content(id) as response:
            for part in response.iter_bytes():
                file.write(part)

    def _patiently(self, what: Callable[[], T]) -> T:
        import httpx2
        import openai

        for wait in self._waits():
            try:
                return what()
            except httpx2.TransportError:
                time.sleep(wait)
            except openai.APIError as error:
                self._or_rejected(error)
                time.sleep(wait)
        raise self._out_of_reach()

    def _waits(self) -> Iterator[float]:
        return (min(self.pause * 2**attempt, SLOWEST) for attempt in range(ATTEMPTS))

    def _or_rejected(self, error: Any) -> None:
        """Return where another attempt may help."""
        status = getattr(error, "status_code", None)
        quota = getattr(error, "code", None) == "insufficient_quota"
        if status is None or status >= 500 or (status in (408, 409, 429) and not quota):
            return
        said = self.endpoint.redacted(str(error))
        if status in (401, 403):
            message = f"{self.endpoint.url} rejects the key (HTTP {status})."
            hint = f"Check the variable {self.endpoint.key_name}."
        elif status == 404:
            message = f"{self.endpoint.url} knows no such batch, file or batch API: {said}"
            hint = (
                "Check the base URL, and that the key is of the account that handed the batch in. "
                "An endpoint without a batch API is asked without it."
            )
        else:
            message = f"{self.endpoint.url} rejects the batch: {said}"
            hint = "Mend the cause, or ask without the batch API."
        raise InputError(message, hint) from None

    def _out_of_reach(self) -> VeneerError:
        return VeneerError(
            f"{self.endpoint.url} cannot be reached.",
            "Batches that were handed in go on without us: run the same again later.",
        )


def failure(batch: Batch) -> str:
    """Why a batch failed, in the provider's words."""
    errors = (batch.errors.data if batch.errors else None) or []
    return "; ".join(f"{error.code}: {error.message}" for error in errors) or "no reason given"


def _read_line(raw: bytes) -> tuple[str, int, Mapping[str, Any]] | None:
    try:
        line = json.loads(raw)
        if line.get("error"):
            return str(line["custom_id"]), EXPIRED, {"error": dict(line["error"])}
        response = line["response"]
        return str(line["custom_id"]), int(response["status_code"]), dict(response["body"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
