"""Starting the processes of a training: what comes back from them, and that they do not outlive it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rank_work

from veneer.errors import InputError, StepFailed
from veneer.steps import Job
from veneer.student import launch as launching
from veneer.student.launch import check_devices, is_first_node, launch, meeting_point

pytestmark = pytest.mark.skipif(launching._cores() < 2, reason="two processes take two cores")


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))
    (tmp_path / "out").mkdir()
    return Job(tmp_path / "out", {}, {})


def test_a_mistake_in_one_process_comes_back_as_one_message(job):
    seen = []
    told = Job(job.out, {}, {}, lambda *fields: seen.append(fields))
    with pytest.raises(InputError) as caught:
        launch(rank_work.fail_in_one, told, 2)
    assert (caught.value.message, caught.value.hint) == ("The corpus is empty.", "Give more.")
    assert seen == [(1, 2, "begun")]
    assert not job.scratch.exists()


def test_a_process_that_dies_for_good_is_said_to_be_killed(job):
    with pytest.raises(StepFailed, match=r"Process 1 of 2 was ended by SIGKILL \(out of memory"):
        launch(rank_work.die_in_one, job, 2, restarts=0)


def test_processes_die_with_the_one_that_launched_them(job):
    code = (
        "import sys, rank_work; from pathlib import Path; from veneer.steps import Job\n"
        "from veneer.student.launch import launch\n"
        f"launch(rank_work.linger, Job(Path({str(job.out)!r}), {{}}, {{}}), 2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    pids = _until(lambda: [int(p.read_text() or 0) for p in sorted(job.out.iterdir())], 2)
    parent.kill()
    parent.wait()
    assert _until(lambda: [p for p in pids if not _alive(p)], 2) == pids


def _until(found, count):
    for _ in range(600):
        have = found()
        if len(have) == count and all(have):
            return have
        time.sleep(0.1)
    raise AssertionError(found())


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_more_devices_than_there_are_are_refused_with_their_number(monkeypatch):
    import torch

    there = launching._cores()
    with pytest.raises(
        InputError, match=f"999 devices are asked for; this machine has {there} CPU"
    ):
        check_devices(999)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"this machine has 1 GPU\.") as caught:
        check_devices(2)
    assert "--devices 1" in caught.value.hint
    check_devices(1)


def test_nodes_meet_where_they_are_told_or_on_slurm_s_first():
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "2", "SLURM_JOB_NODELIST": "gpu[007-009],x1"}
    assert meeting_point(2, None, slurm) == ("gpu007:24711", "slurm-4711-2")
    assert meeting_point(2, "a:29500", slurm) == ("a:29500", "slurm-4711-2")
    plain = {"SLURM_JOB_ID": "5", "SLURM_JOB_NODELIST": "login.example"}
    assert meeting_point(2, None, plain)[0] == "login.example:20005"
    with pytest.raises(InputError, match="nothing says where they meet"):
        meeting_point(2, None, {})
    with pytest.raises(InputError, match="no HOST:PORT"):
        meeting_point(2, "node1", {})


def test_one_machine_owns_the_output(monkeypatch):
    monkeypatch.delenv("SLURM_NODEID", raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: "node3")
    assert is_first_node(1, None)
    assert is_first_node(2, "node3:29500")
    assert is_first_node(2, "127.0.0.1:29500")
    assert not is_first_node(2, "192.0.2.7:29500")
    monkeypatch.setenv("SLURM_NODEID", "1")
    assert not is_first_node(2, None)


def test_signals_have_names_in_the_message(tmp_path):
    (tmp_path / "exits.json").write_text('{"0": -15, "3": -11}')
    error = launching._error(tmp_path, 1, 4, 2)
    name = signal.Signals(11).name
    assert error.message == f"Process 3 of 4 was ended by {name}, after 2 restarts."
