"""A stand-in for Mechanical Turk: a real HTTP server that speaks the AWS JSON protocol.

Requests are checked against botocore's own model of the service and against what Amazon's
reference says beyond it; answers are checked against the model too. Workers see the HITs that they
qualify for, accept, open the pages that the HIT names, and submit to /mturk/externalSubmit.
Money is counted here in another way than in the product: as Amazon's price list words it.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

import botocore.session
from botocore.validate import ParamValidator
from mturk_rules import SCHEMAS, Refusal, Worker, check_hit, external_url

NO_ASSIGNMENT = "ASSIGNMENT_ID_NOT_AVAILABLE"
MODEL = botocore.session.get_session().get_service_model("mturk")


@dataclass
class Assignment:
    id: str
    hit: str
    worker: str
    deadline: float
    status: str = "Pending"
    answer: str = ""
    submitted: float = 0.0
    feedback: str = ""


@dataclass
class Hit:
    id: str
    request: dict
    created: float
    expires: float
    assignments: list[Assignment] = field(default_factory=list)

    def count(self, *statuses: str) -> int:
        return sum(each.status in statuses for each in self.assignments)

    @property
    def taken(self) -> int:
        return self.count("Pending", "Submitted", "Approved", "Rejected")

    def unit(self) -> Decimal:
        """USD of one assignment with its fee, as the price list words it."""
        pay = Decimal(self.request["Reward"])
        share = Decimal("0.4") if self.request["MaxAssignments"] >= 10 else Decimal("0.2")
        fee = (pay * share).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return pay + max(fee, Decimal("0.01"))


class FakeTurk:
    """The service, its workers' site, and the faults that a test asks for.

    `faults` holds (operation, fault) in the order in which they strike: "throttle", "fail" (500,
    nothing done), "drop" (done, but the answer is lost), "funds", "denied", "keys"; and, until
    `hung` is set by whoever asked for it: "hang" (nothing done), "hang after" (done).
    """

    def __init__(self) -> None:
        self.hits: dict[str, Hit] = {}
        self.tokens: dict[str, tuple[str, float]] = {}
        self.faults: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.charged = Decimal(0)
        self.ahead = 0.0  # seconds by which this service's clock runs ahead
        self.lock = threading.RLock()
        self.hanging, self.hung = threading.Event(), threading.Event()
        self._numbers = itertools.count(1)
        handler = type("Handler", (_Handler,), {"turk": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def now(self) -> float:
        return time.time() + self.ahead

    def _id(self) -> str:
        return f"3{next(self._numbers):04d}FAKE0TURK0ID0OF030LETTERS"[:30]

    # What requesters ask

    def answer(self, name: str, given: dict) -> dict:
        with self.lock:
            self.asked.append(name)
            fault = next((each for each in self.faults if each[0] == name), None)
            if fault is not None:
                self.faults.remove(fault)
            match fault:
                case (_, "hang"):
                    self._hang()
                case (_, "throttle"):
                    raise Refusal("", "Rate exceeded", "ThrottlingException")
                case (_, "fail"):
                    raise Refusal("AWS.ServiceUnavailable", "Sorry", "ServiceFault", 500)
                case (_, "funds"):
                    raise Refusal("AWS.MechanicalTurk.InsufficientFunds", "Not enough money")
                case (_, "denied"):
                    raise Refusal("", "User arn:aws:iam::1 may not", "AccessDeniedException")
                case (_, "keys"):
                    said = "The security token in AKIDEXAMPLE is invalid"
                    raise Refusal("", said, "UnrecognizedClientException")
            if name not in MODEL.operation_names:
                raise Refusal("", name, "UnknownOperationException")
            model = MODEL.operation_model(name)
            report = ParamValidator().validate(given, model.input_shape)
            if report.has_errors():
                raise Refusal("AWS.ParameterValidationError", report.generate_report())
            self._tick()
            said = getattr(self, f"_{name}")(**given)
            report = ParamValidator().validate(said, model.output_shape)
            assert not report.has_errors(), report.generate_report()
            match fault:
                case (_, "drop"):
                    raise ConnectionAbortedError
                case (_, "hang after"):
                    self._hang()
            return said

    def _hang(self) -> None:
        self.hanging.set()
        assert self.hung.wait(20)
        raise ConnectionAbortedError

    def _tick(self) -> None:
        now = self.now()
        for hit in self.hits.values():
            for each in hit.assignments:
                if each.status == "Pending" and each.deadline <= now:
                    each.status = "Abandoned"
                delay = hit.request.get("AutoApprovalDelayInSeconds", 30 * 86400)
                if each.status == "Submitted" and each.submitted + delay <= now:
                    self._approve(hit, each)

    def _approve(self, hit: Hit, assignment: Assignment) -> None:
        assignment.status = "Approved"
        self.charged += hit.unit()

    def liable(self) -> Decimal:
        """USD charged, and held for work that may still come or be approved."""
        self._tick()
        held = Decimal(0)
        for hit in self.hits.values():
            live = self.now() < hit.expires
            open_places = hit.request["MaxAssignments"] - hit.taken if live else 0
            held += hit.unit() * (open_places + hit.count("Pending", "Submitted"))
        return self.charged + held

    def _CreateHIT(self, **given) -> dict:
        token = given["UniqueRequestToken"]
        made, when = self.tokens.get(token, ("", 0.0))
        if made and self.now() - when < 24 * 3600:
            raise Refusal(
                "AWS.MechanicalTurk.HitAlreadyExists",
                f"The HIT with ID {made} already exists for the request token ({int(when)})",
            )
        check_hit(given)
        now = self.now()
        hit = Hit(self._id(), given, now, now + given["LifetimeInSeconds"])
        self.hits[hit.id] = hit
        self.tokens[token] = (hit.id, now)
        return {"HIT": self._told(hit)}

    def _told(self, hit: Hit) -> dict:
        now, most = self.now(), hit.request["MaxAssignments"]
        available = max(0, most - hit.taken) if now < hit.expires else 0
        pending = hit.count("Pending")
        idle = "Unassignable" if pending else "Reviewable"
        status = "Assignable" if available else idle
        return {
            "HITId": hit.id,
            "Title": hit.request["Title"],
            "RequesterAnnotation": hit.request.get("RequesterAnnotation", ""),
            "Reward": hit.request["Reward"],
            "CreationTime": hit.created,
            "Expiration": hit.expires,
            "HITStatus": status,
            "MaxAssignments": most,
            "NumberOfAssignmentsAvailable": available,
            "NumberOfAssignmentsPending": pending,
            "NumberOfAssignmentsCompleted": hit.count("Approved", "Rejected"),
        }

    def _hit(self, name: str) -> Hit:
        if name not in self.hits:
            raise Refusal("AWS.MechanicalTurk.HITDoesNotExist", f"Hit {name} does not exist.")
        return self.hits[name]

    def _GetHIT(self, HITId: str) -> dict:
        return {"HIT": self._told(self._hit(HITId))}

    def _ListHITs(self, NextToken: str = "0", MaxResults: int = 10) -> dict:
        rows, start = list(self.hits.values())[::-1], int(NextToken)
        page = rows[start : start + MaxResults]
        told = {"HITs": [self._told(hit) for hit in page], "NumResults": len(page)}
        return told | ({"NextToken": str(start + MaxResults)} if rows[start + MaxResults :] else {})

    def _ListAssignmentsForHIT(
        self,
        HITId: str,
        NextToken: str = "0",
        MaxResults: int = 10,
        AssignmentStatuses: tuple = ("Submitted", "Approved", "Rejected"),
    ) -> dict:
        rows = [
            {
                "AssignmentId": each.id,
                "HITId": HITId,
                "WorkerId": each.worker,
                "AssignmentStatus": each.status,
                "SubmitTime": each.submitted,
                "Answer": each.answer,
            }
            for each in self._hit(HITId).assignments
            if each.status in AssignmentStatuses
        ]
        start = int(NextToken)
        page = rows[start : start + MaxResults]
        told = {"Assignments": page, "NumResults": len(page)}
        return told | ({"NextToken": str(start + MaxResults)} if rows[start + MaxResults :] else {})

    def _find(self, name: str) -> tuple[Hit, Assignment]:
        for hit in self.hits.values():
            for each in hit.assignments:
                if each.id == name:
                    return hit, each
        raise Refusal("AWS.MechanicalTurk.AssignmentDoesNotExist", f"No assignment {name}.")

    def _ApproveAssignment(self, AssignmentId: str, **_) -> dict:
        hit, assignment = self._find(AssignmentId)
        if assignment.status != "Submitted":
            raise Refusal(
                "AWS.MechanicalTurk.InvalidAssignmentState",
                f"This operation can be called with a status of: Submitted, not {assignment.status}",
            )
        self._approve(hit, assignment)
        return {}

    def _RejectAssignment(self, AssignmentId: str, RequesterFeedback: str) -> dict:
        _, assignment = self._find(AssignmentId)
        if assignment.status != "Submitted":
            raise Refusal("AWS.MechanicalTurk.InvalidAssignmentState", assignment.status)
        assignment.status, assignment.feedback = "Rejected", RequesterFeedback
        return {}

    def _UpdateExpirationForHIT(self, HITId: str, ExpireAt: float) -> dict:
        self._hit(HITId).expires = ExpireAt
        return {}

    # What workers do

    def seen_by(self, worker: Worker) -> list[Hit]:
        """HITs that this worker finds: open, qualified for, not worked on before."""
        with self.lock:
            self._tick()
            return [
                hit
                for hit in self.hits.values()
                if self.now() < hit.expires
                and hit.taken < hit.request["MaxAssignments"]
                and all(
                    worker.meets(each)
                    for each in hit.request["QualificationRequirements"]
                    if each["ActionsGuarded"] == "DiscoverPreviewAndAccept"
                )
                and not any(each.worker == worker.id for each in hit.assignments)
            ]

    def accept(self, worker: Worker, hit: Hit) -> Assignment:
        with self.lock:
            assert hit in self.seen_by(worker), "this worker cannot accept this HIT"
            deadline = self.now() + hit.request["AssignmentDurationInSeconds"]
            assignment = Assignment(self._id(), hit.id, worker.id, deadline)
            hit.assignments.append(assignment)
            return assignment

    def give_back(self, assignment: Assignment) -> None:
        assignment.status = "Returned"

    def frame(self, hit: Hit, assignment: Assignment | None = None) -> str:
        """The URL that the worker's browser opens in a frame; a preview without an assignment."""
        shown = {"assignmentId": NO_ASSIGNMENT, "hitId": hit.id}
        if assignment is not None:
            shown["assignmentId"] = assignment.id
            shown |= {"workerId": assignment.worker, "turkSubmitTo": self.url}
        return f"{external_url(hit.request['Question'])}?{urlencode(shown)}"

    def take_in(self, fields: list[tuple[str, str]]) -> None:
        """What workers' browsers POST to /mturk/externalSubmit."""
        with self.lock:
            self._tick()
            names = [name for name, _ in fields]
            assert names.count("assignmentId") == 1, "one assignmentId"
            assert len(fields) > 1, "a form without any other field is not taken"
            _, assignment = self._find(dict(fields)["assignmentId"])
            assert assignment.status == "Pending", assignment.status
            rows = "".join(
                f"<Answer><QuestionIdentifier>{escape(name)}</QuestionIdentifier>"
                f"<FreeText>{escape(value)}</FreeText></Answer>"
                for name, value in fields
                if name != "assignmentId"
            )
            assignment.answer = (
                '<?xml version="1.0" encoding="UTF-8"?>'
                f'<QuestionFormAnswers xmlns="{SCHEMAS}/2005-10-01/QuestionFormAnswers.xsd">'
                f"{rows}</QuestionFormAnswers>"
            )
            assignment.status, assignment.submitted = "Submitted", self.now()


class _Handler(BaseHTTPRequestHandler):
    turk: FakeTurk
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/mturk/externalSubmit":
            self.turk.take_in(parse_qsl(body.decode(), keep_blank_values=True))
            self._send(200, b"Thank you.", "text/plain")
            return
        service, _, name = self.headers["X-Amz-Target"].partition(".")
        assert service == "MTurkRequesterServiceV20170117"
        assert "/us-east-1/mturk-requester/aws4_request" in self.headers["Authorization"]
        try:
            status, said = 200, self.turk.answer(name, json.loads(body))
        except Refusal as refusal:
            status, said = refusal.status, refusal.body
        except ConnectionAbortedError:
            self.close_connection = True
            self.connection.close()
            return
        self._send(status, json.dumps(said).encode(), "application/x-amz-json-1.1")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass
