"""Steps: what a study is made of, how each is known again, and how all of them are run.

A study is a graph of inert `Step`s. A step's identity is the fingerprint of what decides
its result; where it runs, on what device and beside what never enters. `run_steps` does
what is not yet done in a `RunFolder`, side by side where steps do not wait for each other: in local
processes, or on the machines of a Ray cluster (`veneer.steps.on_ray`).
"""

from veneer.steps.folder import RunFolder
from veneer.steps.graph import Job, Part, SourceFile, Step, in_order, on_gpu, versioned
from veneer.steps.identity import encode, fingerprint
from veneer.steps.results import ABOUT, check_results, identity_of, results_in
from veneer.steps.runner import Event, run_steps
from veneer.steps.space import disk_full, no_space, told_when_full, whole

__all__ = [
    "ABOUT",
    "Event",
    "Job",
    "Part",
    "RunFolder",
    "SourceFile",
    "Step",
    "check_results",
    "disk_full",
    "encode",
    "fingerprint",
    "identity_of",
    "in_order",
    "no_space",
    "on_gpu",
    "results_in",
    "run_steps",
    "told_when_full",
    "versioned",
    "whole",
]
