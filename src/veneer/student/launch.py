"""Start the processes of one training, one for every device, and stay with them.

`launch` runs torchrun below this process; each process it starts does the same work over the
same job (`python -m veneer.student.launch rank FOLDER`), and `devices.join` tells them apart.
Only the first one's progress is shown. What goes wrong in any of them comes back as one error;
one that dies is replaced, with all the others, and they go on from the last state kept. All of
them die with the process that launched them.

On several nodes the same command runs once on each (`srun` does that). The first of them, or the
one at the rendezvous, launches the job; the others take part in it. `job.out`, `job.inputs` and
`job.scratch` lie on storage that they share.
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
from veneer.steps import Job, told_when_full
from veneer.steps.processes import serve

RESTARTS = 3
"""How often processes that died are started again before the training is given up."""

ERROR, TROUBLE, EXITS = "error.json", "trouble.json", "exits.json"
JOB, PROGRESS, TRIES = "job.json", "progress.jsonl", "tries"


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
    if not is_first_node(nodes, rendezvous):
        return take_part(job.scratch, devices, nodes, rendezvous, restarts)
    check_devices(devices)
    folder = _folder(job.scratch, nodes, rendezvous)
    for stale in (ERROR, TROUBLE, EXITS, PROGRESS, TRIES):  # no process starts before all nodes met
        (folder / stale).unlink(missing_ok=True)
    fields = {"work": f"{work.__module__}:{work.__name__}", "out": job.out, "params": job.params}
    fields |= {"inputs": job.inputs, "means": job.means, "scratch": job.scratch}
    (folder / JOB).write_text(json.dumps(to_jsonable_python(fields)), "utf-8")
    _run(folder, devices, nodes, rendezvous, restarts, job.progress)


def take_part(
    scratch: Path,
    devices: int,
    nodes: int,
    rendezvous: str | None = None,
    restarts: int = RESTARTS,
) -> None:
    """What the other nodes do: lend their devices to the job that the first one launches.

    Args:
        scratch: that job's `scratch`, on storage that the nodes share.

    Raises:
        As `launch`.
    """
    check_devices(devices)
    folder = _folder(scratch, nodes, rendezvous)
    _run(folder, devices, nodes, rendezvous, restarts, lambda done, total, note="": None)


def _folder(scratch: Path, nodes: int, rendezvous: str | None) -> Path:
    """Where the processes of one launch find their job and leave word."""
    folder = scratch / f"launch-{meeting_point(nodes, rendezvous)[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(
    folder: Path,
    devices: int,
    nodes: int,
    rendezvous: str | None,
    restarts: int,
    progress: Callable[..., None],
) -> None:
    """Have torchrun do the job that lies in `folder`, to its end."""
    where, name = meeting_point(nodes, rendezvous)
    options = [f"--nproc-per-node={devices}", f"--nnodes={nodes}", f"--max-restarts={restarts}"]
    options += ["--rdzv-backend=c10d", f"--rdzv-endpoint={where}", f"--rdzv-id={name}"]
    options += ["--monitor-interval=0.1", "--redirects=3", f"--log-dir={folder / 'logs'}"]
    threads = max(1, _cores() // devices)
    command = [sys.executable, "-m", "veneer.student.launch"]
    agent = [*command, "agent", str(os.getpid()), str(threads), str(folder)]
    ranks = ["--module", "veneer.student.launch", "rank", str(folder / JOB)]
    # A store that outlives a restart gives new processes the addresses of dead ones.
    environment = {**os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    if nodes == 1 and sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        with (folder / f"agent-{socket.gethostname()}-{os.getpid()}.log").open("w") as log:
            process = subprocess.Popen(
                [*agent, *options, *ranks], stdout=log, stderr=log, env=environment
            )
            _stay(process, folder / PROGRESS, progress)
        error = _error(folder, process.returncode, devices * nodes, restarts)
    finally:
        if nodes == 1:  # other nodes may still read; what they leave goes with the scratch folder
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


def is_first_node(nodes: int, rendezvous: str | None) -> bool:
    """Whether this machine owns the output: under SLURM the first, else the one where all meet.

    The others only take part: they take no lock and publish nothing.
    """
    if nodes == 1:
        return True
    if "SLURM_NODEID" in os.environ:
        return os.environ["SLURM_NODEID"] == "0"
    where, _ = meeting_point(nodes, rendezvous)
    host = where.rpartition(":")[0]
    here = {"localhost", socket.gethostname(), socket.getfqdn()}
    return host in here or bool(_addresses(host) & {*_addresses(socket.gethostname()), "127.0.0.1"})


def _addresses(host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


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
    if (folder / ERROR).exists():
        return
    serve(os.getppid(), int(os.environ.get("OMP_NUM_THREADS", "1")))
    tries = 0
    if rank == 0:
        with (folder / TRIES).open("a") as counted:
            tries = counted.tell()
            counted.write(".")
    told = json.loads(about.read_text("utf-8"))
    module, name = told.pop("work").split(":")
    inputs = {key: Path(path) for key, path in told["inputs"].items()}
    note = f" (restart {tries}, after a process died)" if tries else ""

    def progress(done: float, total: float, text: str = "") -> None:
        with (folder / PROGRESS).open("a") as channel:
            channel.write(json.dumps([done, total, text + note]) + "\n")

    quiet: Callable[..., None] = lambda done, total, text="": None  # noqa: E731
    shown = progress if rank == 0 else quiet
    out, scratch = Path(told["out"]), Path(told["scratch"])
    job = Job(out, told["params"], inputs, shown, told["means"], scratch)
    if tries:
        for left in job.out.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    try:
        with told_when_full(job.out):
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
    try:
        os.link(scratch, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        scratch.replace(path)


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        _agent(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
    else:
        _rank(Path(sys.argv[2]))
