"""Requests taken through batches: claimed, handed in, waited for, kept, asked again.

A batch job is in the journal before its file is uploaded, and its requests are claimed by it, so
whatever is killed is taken up again: a batch that was handed in is never handed in again, and one
whose file was uploaded is looked for at the provider, by our name, before it is created. Requests
that failed there or expired are asked again, in at most `ROUNDS` batches.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from veneer.errors import InputError
from veneer.models.api.entries import BatchJob, Intent, Usage
from veneer.models.api.jobs import CLOSED, EXPIRED, SLOWEST, Counter, failure
from veneer.models.api.owners import opening
from veneer.models.api.prices import Price, priced
from veneer.models.api.reading import Read, read_completion
from veneer.models.asking import Progress, Reply

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

    from veneer.models.api.budget import Budget
    from veneer.models.api.endpoint import Endpoint
    from veneer.models.api.journal import Journal
    from veneer.models.api.report import Tally

MAX_REQUESTS, MAX_BYTES = 50_000, 200_000_000
"""Of one batch's file."""
ROUNDS = 3
"""Batches that a request is put in before it counts as failed."""
WAVES = 6
"""Times that batches are handed in. Answers cost less than their worst, so that requests over the
budget may fit it later; what is over it after so many is not asked."""


@dataclass(frozen=True)
class Line:
    """A request as it would be sent by itself: its intent (at full price) and its JSON body."""

    intent: Intent
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Desk:
    """Asks through the batch API; `ask` is the door.

    Args:
        limit: the token limit of the requests.
        logprobs: whether the requests ask for them.
        regroup: the request for other samples of a line's conversation.
        tally: what it took is counted there.
        poll: seconds before the first look at a batch; later looks are further apart.
    """

    client: OpenAI
    endpoint: Endpoint
    journal: Journal
    collection: str
    limit: int
    price: Price | None = None
    budget: Budget | None = None
    logprobs: bool = False
    regroup: Callable[[Line, tuple[int, ...]], Line] | None = None
    progress: Progress | None = None
    tally: Tally | None = None
    poll: float = 5.0
    max_requests: int = MAX_REQUESTS
    max_bytes: int = MAX_BYTES

    def ask(self, lines: Sequence[Line]) -> dict[str, Reply]:
        """A reply by key; a key without one was not asked because the budget ended.

        Raises:
            InputError: the endpoint rejects the key, the model or a whole batch.
            VeneerError: it cannot be reached.
        """
        return _Errand(self, lines).run()


class _Errand:
    """One call of `Desk.ask`: what is wanted, known and failed so far."""

    def __init__(self, desk: Desk, lines: Sequence[Line]) -> None:
        self.desk, self.journal = desk, desk.journal
        self.counter = Counter(desk.client, desk.endpoint, desk.poll)
        self.lines = list({line.intent.request: self._cheap(line) for line in lines}.values())
        self.keys = list(dict.fromkeys(key for line in lines for key in line.intent.keys))
        self.answers: dict[str, Reply] = {}
        self.failed: dict[str, Reply] = {}
        self.reasons: dict[str, str] = {}
        self.ignored_n = False
        self.writing: list[Future[Any]] = []

    def run(self) -> dict[str, Reply]:
        rounds: Counts[str] = Counts()
        self._take_up_old_jobs()
        waves = 0
        while (left := self._left(rounds)) and waves < WAVES:
            jobs, busy = [], False
            for part in _parts(left, self.desk.max_requests, self.desk.max_bytes):
                job, sent, held = self._hand_in(part)
                rounds.update(line.intent.request for line in sent)
                if self.desk.tally:
                    self.desk.tally.requests += len(sent)
                jobs += [job] if job else []
                busy = busy or held
            self._wait_for(jobs)
            if not jobs and not busy:
                break  # all that is left is over the budget
            waves += bool(jobs)
            if not jobs:
                time.sleep(self.desk.poll)
        self._show(0)
        return {**self.failed, **self.answers}

    def _left(self, rounds: Mapping[str, int]) -> list[Line]:
        """What is neither known nor failed; what was in too many batches fails now."""
        missing = [key for key in self.keys if key not in self.answers]
        self.answers.update(self.journal.answers(missing))
        left = []
        for line in self.lines:
            rest = _without(line, {**self.failed, **self.answers})
            if rest is None:
                continue
            if rounds[line.intent.request] < ROUNDS and rounds[rest.intent.request] < ROUNDS:
                left.append(rest)
                continue
            for key in rest.intent.keys:
                why = self.reasons.get(key, "no reason given")
                self._fail([key], f"not answered in {ROUNDS} batches; the last said: {why}")
        return left

    def _fail(self, keys: Iterable[str], reason: str) -> None:
        self.failed.update(dict.fromkeys(keys, Reply("", "failed", reason)))

    def _cheap(self, line: Line) -> Line:
        worst = priced(line.intent.worst, self.desk.price, batch=True)
        return replace(line, intent=replace(line.intent, worst=worst))

    def _alone(self) -> AbstractContextManager[None]:
        """One process at a time creates batches or takes their answers."""
        return opening(self.journal.path.with_name(f"{self.journal.path.name}.batches"))

    # ---- handing in -------------------------------------------------------------------

    def _hand_in(self, lines: Sequence[Line]) -> tuple[BatchJob | None, list[Line], bool]:
        """Claim, upload, create: the job, its lines, and whether others are at work on some."""
        desk, name = self.desk, f"veneer-{secrets.token_hex(8)}"
        requests = {line.intent.request: line.intent.keys for line in lines}
        note = {"limit": desk.limit, "logprobs": desk.logprobs, "since": int(time.time())}
        where = desk.endpoint.url, desk.endpoint.model, desk.collection
        job = BatchJob(name, *where, requests, note=note)
        with self._alone():
            self.journal.keep_batch(job).result()
            mine, others, held = self._claim(lines, name)
            if mine:
                requests = {line.intent.request: line.intent.keys for line in mine}
                file = self.counter.upload(name, map(_line, mine))
                job = replace(job, requests=requests, state="uploaded", note={**note, "file": file})
                self.journal.keep_batch(job).result()
                job = self._created(job, self.counter.create(name, file, note["since"]))
            else:
                self.journal.end_batch(name).result()
        for other in others:
            self._take_up(other)
        return (job if mine else None), mine, held or bool(others)

    def _created(self, job: BatchJob, id: str) -> BatchJob:
        job = replace(job, provider_id=id, state="created")
        self.journal.keep_batch(job).result()
        return job

    def _claim(self, lines: Sequence[Line], name: str) -> tuple[list[Line], set[str], bool]:
        """Lines that are now this job's, jobs that have others, and whether a process has."""
        intents = [line.intent for line in lines]
        claims = self.journal.claim(intents, batch=name, budget=self.desk.budget).result()
        mine, others, held = [], set(), False
        whole: dict[str, Line] = {}
        for line, claim in zip(lines, claims, strict=True):
            if claim.state in ("mine", "again"):
                mine.append(line)
            elif claim.state == "batched" and claim.batch != name:
                others.add(claim.batch)
            elif claim.state == "regroup" and self.desk.regroup:
                group = self._cheap(self.desk.regroup(line, claim.samples))
                whole[group.intent.request] = group
            held = held or claim.state in ("held", "found")
        if whole:
            more = self._claim(list(whole.values()), name)
            return mine + more[0], others | more[1], held or more[2]
        return mine, others, held

    # ---- fetching ---------------------------------------------------------------------

    def _jobs(self) -> list[BatchJob]:
        where = self.desk.endpoint
        return self.journal.batches(base_url=where.url, model=where.model)

    def _take_up_old_jobs(self) -> None:
        """Go on with what earlier runs handed in, where it has our keys.

        What else waits for this collection is kept where it is ready: it counts in the budget.
        """
        wanted = set(self.keys)
        for job in self._jobs():
            if any(wanted & set(keys) for keys in job.requests.values()):
                self._take_up(job.name)
            elif job.collection == self.desk.collection:
                self._look_in(job.name)

    def _take_up(self, name: str) -> None:
        """Finish a job begun by another process; while a live one does so, beside it."""
        with self._alone():
            job = self._at_the_provider(name, create=True)
        if job is not None:
            self._wait_for([job])

    def _look_in(self, name: str) -> None:
        with self._alone():
            job = self._at_the_provider(name, create=False)
            if job is not None:
                batch = self.counter.look(job.provider_id)
                if batch.status in CLOSED:
                    self._keep(job, batch)

    def _at_the_provider(self, name: str, *, create: bool) -> BatchJob | None:
        """The job with the provider's id; None where it is over or never was created."""
        job = next((job for job in self._jobs() if job.name == name), None)
        if job is None or job.provider_id:
            return job
        note = job.note or {}
        id = self.counter.find(name, note["since"])
        if id is None and create and "file" in note:
            id = self.counter.create(name, note["file"], note["since"])
        if id is None:
            self.journal.end_batch(name).result()
            return None
        return self._created(job, id)

    def _wait_for(self, jobs: Sequence[BatchJob]) -> None:
        """Look until every job is closed, and keep what each brought."""
        left, done, pause = list(jobs), Counts[str](), self.desk.poll
        while left:
            for job in list(left):
                batch = self.counter.look(job.provider_id)
                if batch.request_counts:
                    answered = batch.request_counts.completed / max(1, len(job.requests))
                    done[job.name] = int(answered * sum(map(len, job.requests.values())))
                if batch.status in CLOSED:
                    with self._alone():
                        self._keep(job, batch)
                    self._or_useless(batch)
                    left.remove(job)
            self._show(done.total())
            if left:
                time.sleep(pause)
                pause = min(pause * 1.5, SLOWEST)

    def _show(self, more: int) -> None:
        if self.desk.progress:
            known = len(self.answers) + len(self.failed)
            self.desk.progress(min(known + more, len(self.keys)), len(self.keys))

    def _keep(self, job: BatchJob, batch: Batch) -> None:
        """Settle every request of a closed batch, then forget the job."""
        waiting = {intent.request: intent for intent in self.journal.intents(batch=job.name)}
        for name, status, body in self.counter.lines(batch):
            # One that is not there was settled before a kill, or is of nobody's.
            if (intent := waiting.pop(name, None)) is not None:
                self._keep_line(job, intent, status, body)
        for intent in waiting.values():
            why = f"the batch was {batch.status} without a line for it"
            if batch.status == "completed":
                # It may have been answered under another's name.
                self.writing.append(self.journal.doubt(intent))
                if self.desk.tally:
                    self.desk.tally.in_doubt += 1
                    self.desk.tally.paid(intent.worst)
            elif batch.status == "cancelled":
                why = "the batch was cancelled at the provider before it was answered"
                self._fail(intent.keys, why)
            self._unanswered(intent, why)
        while self.writing:
            self.writing.pop().result()  # no answer may be lost before the job is forgotten
        self.journal.end_batch(job.name).result()

    def _or_useless(self, batch: Batch) -> None:
        """Raise where asking on in this way makes no sense."""
        if self.ignored_n:
            raise InputError(
                f"The endpoint {self.desk.endpoint.url} ignored n: fewer answers came back than "
                "were asked for.",
                "Ask each sample in a request of its own (--no-n).",
            )
        if batch.status == "failed":
            raise InputError(
                f"The provider failed the batch {batch.id}: "
                f"{self.desk.endpoint.redacted(failure(batch))}",
                "None of it was billed. Mend the cause and run the same again, or ask without "
                "the batch API.",
            )

    def _keep_line(
        self, job: BatchJob, intent: Intent, status: int, body: Mapping[str, Any]
    ) -> None:
        note = job.note or {}
        if status == 200:
            self._keep_answer(
                intent,
                read_completion(body, limit=note["limit"], logprobs=note["logprobs"]),
            )
            return
        error = body.get("error") or {}
        said = f"{error.get('code') or error.get('type')}: {error.get('message')}"
        said = self.desk.endpoint.redacted(said if status == EXPIRED else f"HTTP {status}, {said}")
        if status >= 500 or status in (408, 409, 429):
            self._unanswered(intent, said)
        elif status == 400 and "content_filter" in (error.get("code") or ""):
            reply = Reply("", "filtered", said)
            kept = dict.fromkeys(intent.keys, reply)
            self.writing.append(self.journal.settle(intent, kept, Usage()))
        else:
            self.writing.append(self.journal.release(intent, reason=said, for_good=True))
            self._fail(intent.keys, said)

    def _keep_answer(self, intent: Intent, read: Read) -> None:
        """Settle a request that was answered and billed, readable or not."""
        paid = priced(read.usage, self.desk.price, batch=True) if read.usage else intent.worst
        trouble = read.trouble
        if read.without_logprobs:
            trouble = "the answer came without its log-probabilities"
        if trouble:
            said = [reply.text for reply in read.replies] or [""] * len(intent.keys)
            replies = [Reply(text, "malformed", trouble) for text in said]
        else:
            replies = [
                replace(r, text=self.desk.endpoint.without_key(r.text)) for r in read.replies
            ]
        self.ignored_n = self.ignored_n or len(replies) < len(intent.keys)
        kept = dict(zip(intent.keys, replies, strict=False))
        self.writing.append(self.journal.settle(intent, kept, paid))
        if self.desk.tally:
            self.desk.tally.paid(paid)
            self.desk.tally.answered_by[read.model or "unnamed"] += 1

    def _unanswered(self, intent: Intent, why: str) -> None:
        """It may be asked again."""
        self.writing.append(self.journal.release(intent, reason=why))
        self.reasons.update(dict.fromkeys(intent.keys, why))


def _without(line: Line, known: Mapping[str, Reply]) -> Line | None:
    """The line for what is not known yet; None where all is."""
    intent = line.intent
    left = [i for i, key in enumerate(intent.keys) if key not in known]
    if len(left) == len(intent.keys):
        return line
    if not left:
        return None
    keys, samples = zip(*((intent.keys[i], intent.samples[i]) for i in left), strict=True)
    body = {**line.body, "n": len(left)}
    return Line(replace(intent, keys=keys, samples=samples), body)


def _line(line: Line) -> bytes:
    wanted = {
        "custom_id": line.intent.request,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": dict(line.body),
    }
    return json.dumps(wanted).encode() + b"\n"


def _parts(lines: Iterable[Line], most: int, size: int) -> Iterator[list[Line]]:
    """Cut into files of at most `most` lines and `size` bytes."""
    part: list[Line] = []
    used = 0
    for line in lines:
        length = len(_line(line))
        if part and (len(part) >= most or used + length > size):
            yield part
            part, used = [], 0
        part.append(line)
        used += length
    if part:
        yield part
