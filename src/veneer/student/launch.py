"""Start the processes of one training, one for every device, and stay with them.

`launch` runs torchrun below this process; each process it starts does the same work over the
same job (`python -m veneer.student.launch rank FOLDER`), and `devices.join` tells them apart.
Only the first one's progress is shown. What goes wrong in any of them comes back as one error;
one that dies is replaced, with all the others, and they go on from the last state kept. All of
them die with the process that launched them.

On several nodes the same command runs once on each (`srun` does that), and `job.out` and
`job.scratch` are the same folders, on storage that the nodes share.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic_core import to_jsonable_python

from veneer import errors
from veneer.errors import InputError, StepFailed, VeneerError
from veneer.steps import Job
from veneer.steps.processes import serve

RESTARTS = 3
"""How often processes that died are started again before the training is given up."""

ERROR, TROUBLE, PROGRESS, EXITS = "error.json", "trouble.json", "progress.jsonl", "exits.json"


def launch(
    work: Callable[[Job], None],
    job: Job,
    devices: int,
    nodes: int = 1,
    rendezvous: str | None = None,
    restarts: int = RESTARTS,
) -> None:
    """Do a step's work in `devices` processes here, and as many on each other node.

    Args:
        work: a function at module level; every process calls it with the job.
        job: what to do; its progress is that of the first process.
        devices: processes on this node, one for each GPU or CPU core.
        nodes: machines that run this same call.
        rendezvous: HOST:PORT of one of the nodes, where they meet; under SLURM it is found.
        restarts: how often processes that died are started again.

    Raises:
        InputError: more devices than there are, or no place to meet.
        VeneerError: what a process raised, as it raised it.
        StepFailed: processes died, and their restarts too.
    """
    check_devices(devices)
    where, name = meeting_point(nodes, rendezvous)
    folder = job.scratch / f"launch-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (TROUBLE, EXITS):
        (folder / stale).unlink(missing_ok=True)
    about = folder / f"job-{os.getpid()}.json"
    fields = {"work": f"{work.__module__}:{work.__name__}", "out": job.out, "params": job.params}
    fields |= {"inputs": job.inputs, "means": job.means, "scratch": job.scratch}
    about.write_text(json.dumps(to_jsonable_python(fields)), "utf-8")
    options = [f"--nproc-per-node={devices}", f"--nnodes={nodes}", f"--max-restarts={restarts}"]
    options += ["--rdzv-backend=c10d", f"--rdzv-endpoint={where}", f"--rdzv-id={name}"]
    options += ["--monitor-interval=0.1", "--redirects=3", f"--log-dir={folder / 'logs'}"]
    command = [sys.executable, "-m", "veneer.student.launch"]
    threads = max(1, _cores() // devices)
    agent = [*command, "agent", str(os.getpid()), str(threads), str(folder)]
    ranks = ["--module", "veneer.student.launch", "rank", str(about)]
    environment = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    # ^ a store that outlives a restart gives new processes the addresses of dead ones
    if nodes == 1 and sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        with (folder / f"agent-{os.getpid()}.log").open("w") as log:
            process = subprocess.Popen(
                [*agent, *options, *ranks], stdout=log, stderr=log, env=environment
            )
            _stay(process, folder / PROGRESS, job.progress)
        error = _error(folder, process.returncode, devices * nodes, restarts)
    finally:
        if is_first_node(rendezvous):
            _remove(folder)
    if error is not None:
        raise error


def check_devices(devices: int) -> None:
    """Raises InputError where this machine has fewer GPUs, or without any fewer CPU cores."""
    import torch

    gpus = torch.cuda.device_count()
    there, kind = (gpus, "GPU") if gpus else (_cores(), "CPU core")
    if not 1 <= devices <= there:
        kinds = kind if there == 1 else f"{kind}s"
        raise InputError(
            f"{devices} devices are asked for; this machine has {there} {kinds}.",
            f"Use --devices {there}" + (", or fewer." if there > 1 else ", or leave it out."),
        )


def _cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def meeting_point(
    nodes: int, given: str | None, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Where the nodes of a training meet, and a name that sets it apart from other trainings.

    Under SLURM: the first node of the job step, at a port made from the job's number.

    Raises:
        InputError: there are several nodes and nothing says where they meet.
    """
    found = os.environ if environment is None else environment
    if nodes == 1:
        return "localhost:0", f"local-{os.getpid()}"
    job = found.get("SLURM_JOB_ID")
    name = f"slurm-{job}-{found.get('SLURM_STEP_ID', '0')}" if job else "given"
    if given:
        host, _, port = given.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(
                f"--rendezvous {given} is no HOST:PORT.", "For example: --rendezvous node1:29500"
            )
        return given, name
    if job is None:
        raise InputError(
            f"{nodes} nodes are asked for, but nothing says where they meet.",
            "Run the same command on every node with --rendezvous HOST:PORT (of one of them), "
            "or start it with srun.",
        )
    listed = found.get("SLURM_STEP_NODELIST") or found.get("SLURM_JOB_NODELIST", "localhost")
    first = re.match(r"([^,\[]+)(?:\[(\d+))?", listed)
    assert first is not None, listed
    return f"{first[1]}{first[2] or ''}:{20000 + int(job) % 20000}", name


def is_first_node(rendezvous: str | None = None) -> bool:
    """Whether this node's process owns the output: SLURM's first, or the one where nodes meet."""
    if "SLURM_NODEID" in os.environ:
        return os.environ["SLURM_NODEID"] == "0"
    host = rendezvous.rpartition(":")[0] if rendezvous else "localhost"
    here = {"localhost", "127.0.0.1", socket.gethostname(), socket.getfqdn()}
    if host in here:
        return True
    with contextlib.suppress(OSError):
        return socket.gethostbyname(host) in {socket.gethostbyname(name) for name in here}
    return False


def _stay(process: subprocess.Popen[bytes], channel: Path, progress: Callable[..., None]) -> None:
    """Until the processes have ended: pass on their progress; take them along when leaving."""
    lines = _lines(channel)
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            for line in lines:
                if line is None:
                    break
                progress(*json.loads(line))
    except BaseException:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _lines(path: Path) -> Iterator[str | None]:
    """Whole lines as they are appended to a file; None where there is no further one yet."""
    at, rest = 0, ""
    while True:
        if path.exists():
            with path.open() as file:
                file.seek(at)
                rest += file.read()
                at = file.tell()
        *lines, rest = rest.split("\n")
        yield from lines
        yield None


def _error(folder: Path, code: int, size: int, restarts: int) -> VeneerError | None:
    """What went wrong, in one error; None when all is well."""
    with contextlib.suppress(FileNotFoundError):
        told = json.loads((folder / ERROR).read_text("utf-8"))
        kind = getattr(errors, told["kind"], StepFailed)
        return kind(told["message"], told["hint"])
    if code == 0:
        return None
    again = f", after {restarts} restarts" if restarts else ""
    hint = "What was done is kept: the same command goes on from there."
    exits: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        exits = json.loads((folder / EXITS).read_text("utf-8"))
    for rank, exit_code in exits.items():
        if exit_code < 0 and -exit_code != signal.SIGTERM:
            name = signal.Signals(-exit_code).name
            why = " (out of memory, perhaps)" if name == "SIGKILL" else ""
            return StepFailed(f"Process {rank} of {size} was ended by {name}{why}{again}.", hint)
    with contextlib.suppress(FileNotFoundError):
        told = json.loads((folder / TROUBLE).read_text("utf-8"))
        return StepFailed(f"Process {told['rank']} of {size}: {told['message']}{again}.", hint)
    tail = "".join(
        path.read_text("utf-8", "replace")[-2000:] for path in sorted(folder.glob("agent-*.log"))
    ).strip()
    last = tail.splitlines()[-1] if tail else f"exit code {code}"
    return StepFailed(f"The {size} processes of the training did not run: {last}", hint)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # goes only where nothing else was kept


# ---- below the launching process ----------------------------------------------------------


def _agent(parent: int, threads: int, folder: Path, arguments: list[str]) -> None:
    """torchrun, in a process that dies with `parent`."""
    serve(parent, threads)
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.run(run.parse_args(arguments))
    except ChildFailedError as error:
        exits = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
        (folder / EXITS).write_text(json.dumps(exits), "utf-8")
        sys.exit(1)


def _rank(about: Path) -> None:
    """One of the processes: the work over the job, errors told to the launching process.

    A mistake, or a failure that would come again, is told in error.json: torchrun then starts
    all processes anew, and each sees the file and ends well. Trouble that may pass (a lost
    connection, since another process died) ends in another try.
    """
    folder, rank = about.parent, int(os.environ["RANK"])
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    most = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    if attempt == 0 and rank == 0:
        (folder / ERROR).unlink(missing_ok=True)
    elif attempt and (folder / ERROR).exists():
        return
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    serve(os.getppid(), threads)
    told = json.loads(about.read_text("utf-8"))
    module, name = told.pop("work").split(":")
    inputs = {key: Path(path) for key, path in told["inputs"].items()}
    note = f" (restart {attempt} of {most} after a process died)" if attempt else ""

    def progress(done: float, total: float, text: str = "") -> None:
        with (folder / PROGRESS).open("a") as channel:
            channel.write(json.dumps([done, total, text + note]) + "\n")

    quiet: Callable[..., None] = lambda done, total, text="": None  # noqa: E731
    shown = progress if rank == 0 else quiet
    out, scratch = Path(told["out"]), Path(told["scratch"])
    job = Job(out, told["params"], inputs, shown, told["means"], scratch)
    if attempt and rank == 0:
        for left in job.out.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    try:
        getattr(importlib.import_module(module), name)(job)
    except BaseException as error:
        if isinstance(error, VeneerError):
            _tell(folder / ERROR, type(error).__name__, rank, error.message, error.hint)
        elif isinstance(error, (RuntimeError, OSError)) and not isinstance(error, MemoryError):
            _tell(folder / TROUBLE, "StepFailed", rank, _first_line(error))
        elif isinstance(error, Exception):
            _tell(folder / ERROR, "StepFailed", rank, _first_line(error))
        raise


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _tell(path: Path, kind: str, rank: int, message: str, hint: str = "") -> None:
    """Leave word for the launching process; the first process to do so is heard."""
    scratch = path.with_name(f"{path.name}-{rank}")
    told = {"kind": kind, "rank": rank, "message": message, "hint": hint}
    scratch.write_text(json.dumps(told), "utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(scratch, path)


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        _agent(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
    else:
        _rank(Path(sys.argv[2]))
