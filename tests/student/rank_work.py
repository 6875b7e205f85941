"""Work for the processes that the launching tests start; they import it by name."""

import json
import os
import signal
import time
from pathlib import Path

from veneer.errors import InputError, VeneerError
from veneer.steps import Job


def fail_in_one(job):
    """A mistake that the second process alone meets, while the first one waits."""
    begun = job.out / "begun"
    if os.environ["RANK"] == "0":
        job.progress(1, 2, "begun")
        begun.touch()
        time.sleep(60)
    while not begun.exists():
        time.sleep(0.05)
    raise InputError("The corpus is empty.", "Give more.")


def die_in_one(job):
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def linger(job):
    (job.out / os.environ["RANK"]).write_text(str(os.getpid()))
    time.sleep(60)


def train_and_be_killed(job):
    """Train; the second process is killed in the middle of step 6, the first time it gets there."""
    from veneer.student.loop import Training
    from veneer.student.train import train

    step, taken = Training.step, []

    def mortal(self, *args):
        taken.append(args)
        first_try = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first_try and os.environ["RANK"] == "1" and len(taken) == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *args)

    Training.step = mortal
    train(job)


def train_several(job):
    """Trainings and refusals, one after the other, by the same processes."""
    from veneer.student import devices
    from veneer.student.train import train

    devices.leave = lambda: None
    said = {}
    for name, (recipe, means) in job.params["runs"].items():
        out = job.out / name
        out.mkdir(exist_ok=True)
        params = {"recipe": recipe, "budgets": job.params["budgets"], "seed": 0}
        base = Path(job.params["bases"].get(name, job.inputs["base"]))
        inputs = {**job.inputs, "base": base}
        try:
            train(Job(out, params, inputs, means={**job.means, **means}))
        except VeneerError as error:
            said[name] = [error.message, error.hint]
    if os.environ["RANK"] == "0":
        (job.out / "said.json").write_text(json.dumps(said))
