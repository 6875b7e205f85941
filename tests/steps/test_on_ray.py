"""A two-node cluster on one machine: the same bytes as local processes, and what it survives."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_runner import add, refuse, write_number

from veneer.errors import InputError
from veneer.steps import Job, RunFolder, Step, on_gpu, run_steps
from veneer.steps.attempt import Task
from veneer.steps.folder import new_partial
from veneer.steps.nodes import here, inspection
from veneer.steps.on_ray import ATTEMPTS, _attempt, _connect, _way_in, on_ray

ray = pytest.importorskip("ray")
TINY = Path(__file__).parent.parent / "tiny.yaml"


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        here = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, here)))  # workers import this file
        patch.setenv("OMP_NUM_THREADS", "7")  # what a node happens to say must not matter
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        found.add_node(num_cpus=1, num_gpus=1)
        yield found
        found.shutdown()


@pytest.fixture(scope="module")
def joined(cluster):
    """As in a script that has called ray.init itself."""
    ray.init(cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()


def run_on_ray(goals, folder, **options):
    run_steps(goals, folder, place=on_ray(folder), **options)
    assert ray.is_initialized()


def die_once(job: Job):
    """SIGKILL to the worker in the first attempt, which leaves half an output."""
    job.scratch.mkdir(exist_ok=True)
    kept = job.scratch / "kept"
    (job.out / "half").write_text("x" if not kept.exists() else "whole")
    if not kept.exists():
        kept.write_text("from the first attempt")
        os.kill(os.getpid(), signal.SIGKILL)
    (job.out / "n").write_text("5")
    (job.out / "kept").write_text(kept.read_text())


def linger_once(job: Job):
    """Wait for the end in the first attempt."""
    mark = Path(job.params["mark"])
    if not mark.exists():
        mark.write_text(ray.get_runtime_context().get_node_id())
        time.sleep(60)
    (job.out / "n").write_text("6")


def tell_environment(job: Job):
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "VENEER_TEST_SECRET"):
        (job.out / name).write_text(os.environ.get(name, ""))
    (job.out / "under_ray").write_text(str(ray.is_initialized()))


@on_gpu
def tell_gpu(job: Job):
    tell_environment(job)


def graph():
    one, two = Step("one", write_number, {"n": 1}), Step("two", write_number, {"n": 2})
    killed = Step("killed", die_once)
    parts = {"a": one, "b": two, "c": Step("sum", add, {}, {"a": one, "b": two}), "d": killed}
    return Step("total", add, {}, parts), killed


def contents(folder):
    found = {p.relative_to(folder.steps): p for p in folder.steps.rglob("*") if p.is_file()}
    return {place: path.read_bytes() for place, path in found.items() if path.name != "step.json"}


def test_equal_to_the_local_run_with_a_worker_killed_on_the_way(cluster, tmp_path):
    local, remote = RunFolder(tmp_path / "local"), RunFolder(tmp_path / "ray")
    total, killed = graph()
    local.scratch(killed).mkdir(parents=True)
    (local.scratch(killed) / "kept").write_text("from the first attempt")
    run_steps([total], local, workers=0)
    events = []
    there = on_ray(remote, address=cluster.address)
    run_steps([total], remote, watch=events.append, place=there)
    assert not ray.is_initialized()
    assert contents(remote) == contents(local)
    assert (remote.output(total) / "n").read_text() == "11"
    assert (remote.output(killed) / "kept").read_text() == "from the first attempt"
    assert not list(remote.steps.glob(".*"))
    assert [e.kind for e in events].count("start") == [e.kind for e in events].count("done") == 5


def test_a_step_whose_node_is_lost_is_done_by_another(joined, tmp_path):
    folder, mark = RunFolder(tmp_path / "run"), tmp_path / "mark"
    step = Step("lingers", linger_once, {"mark": str(mark)}, gpus=1)
    joined.add_node(num_cpus=1, num_gpus=1)
    events = []

    def watch(event):
        events.append(event.kind)
        if events == ["start"]:
            while not mark.exists() or not mark.read_text():
                time.sleep(0.05)
            [lost] = [n for n in joined.worker_nodes if n.node_id == mark.read_text()]
            joined.remove_node(lost, allow_graceful=False)

    run_on_ray([step], folder, watch=watch)
    assert (folder.output(step) / "n").read_text() == "6"
    assert events.count("start") == 1
    assert not list(folder.steps.glob(".*"))


def test_resources_threads_and_secrets(joined, tmp_path, monkeypatch):
    monkeypatch.setenv("VENEER_TEST_SECRET", "a key")
    folder = RunFolder(tmp_path / "run")
    plain, card = Step("plain", tell_environment), Step("card", tell_gpu)
    asks = Step("asks", tell_environment, {"at": "home"}, means={"key": "VENEER_TEST_SECRET"})
    alike = Step("other", tell_environment, cpus=2, gpus=1, means={"key": "VENEER_TEST_SECRET"})
    assert alike.fingerprint == plain.fingerprint
    bad, large = Step("bad", refuse), Step("large", write_number, {"n": 9}, gpus=8)
    goals = [bad, Step("after", add, {}, {"a": bad}), large, plain, card, asks]
    with pytest.raises(InputError, match=r"Step (bad|large): .*\(1 more steps failed\)") as caught:
        run_on_ray(goals, folder)
    assert "Bad number." in str(caught.value) or "needs 1 cores and 8 GPUs" in str(caught.value)
    assert caught.value.hint in (
        "Give a good one.",
        "Add such a node to the cluster; the same command goes on from there.",
    )
    assert [folder.done(step) for step in goals] == [False, False, False, True, True, True]

    def told(step):
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "VENEER_TEST_SECRET", "under_ray")
        return [(folder.output(step) / name).read_text() for name in names]

    assert told(plain) == ["", "1", "", "True"]
    assert told(card) == ["0", "1", "", "True"]
    assert told(asks)[2:] == ["a key", "False"]


def test_a_mistake_in_a_step_is_told_as_locally_and_not_tried_again(joined, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=r"^Step refused: Bad number\.\nGive a good") as caught:
        run_on_ray([Step("refused", refuse)], folder)
    assert type(caught.value) is InputError
    assert caught.value.exit_code == 2
    assert len(list(folder.steps.glob(".partial-*"))) == 1


def test_an_interrupt_ends_the_tasks_also_where_ray_goes_on(joined, tmp_path):
    folder, mark = RunFolder(tmp_path / "run"), tmp_path / "mark"

    def interrupt(event):
        if event.kind == "start":
            while not mark.exists():
                time.sleep(0.05)
            assert _tasks("waits")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_on_ray([Step("waits", linger_once, {"mark": str(mark)})], folder, watch=interrupt)
    assert ray.is_initialized()
    _gone("waits")


def test_a_run_folder_that_nodes_do_not_see_is_refused_at_once(joined, tmp_path, monkeypatch):
    """A path that means another folder in every process stands for storage that is not shared."""
    monkeypatch.chdir(tmp_path)
    started = []
    step, folder = Step("one", write_number, {"n": 1}), RunFolder(Path("/proc/self/cwd/run"))
    with pytest.raises(InputError, match=r"Node .* cannot read and write the run folder") as caught:
        run_on_ray([step], folder, watch=started.append)
    assert "storage that every node sees" in caught.value.hint
    assert "(1 more cannot take part.)" in str(caught.value)
    assert not started
    assert not list((tmp_path / "run").rglob("*token*"))


def test_a_node_without_the_same_packages_says_so(tmp_path):
    seen = tmp_path / "run" / "steps" / "seen"
    (seen / "nodes").mkdir(parents=True)
    (seen / "token").write_text("seen")
    inspect = inspection()
    assert inspect(str(seen), 0, here()) is None
    assert len(list((seen / "nodes").iterdir())) == 1
    kind, sentence = inspect(str(seen), 0, {**here(), "torch": "1.0"})
    assert (kind, sentence.split(";")[1]) == ("packages", " this machine has 1.0.")
    assert inspect(str(tmp_path / "other"), 0, here())[0] == "folder"
    code = (
        "import sys, pickle, ray\n"
        "sys.modules['veneer'] = None  # as where it is not installed\n"
        "inspect, seen = pickle.load(sys.stdin.buffer)\n"
        "print(inspect(seen, 0, {'veneer': '1'}))"
    )
    sent = ray.cloudpickle.dumps((inspect, str(seen)))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert b"does not have veneer; this machine has 1." in done.stdout


def fill_up(job: Job):
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError as error:
        raise RuntimeError("The file could not be saved.") from error


def task_of(step, root):
    """A step as a node is given it, and the folder by which it knows the run folder."""
    seen = root / "steps" / "seen"
    (seen / "nodes").mkdir(parents=True)
    (seen / "token").write_text("seen")
    places = (root / "steps", root / "scratch")
    task = Task(step.name, step.folder, step.fingerprint, step.work, step.params, {}, {}, *places)
    return task, seen


def test_a_full_disk_is_told_as_locally(tmp_path):
    class Nobody:
        class put:
            remote = staticmethod(lambda message: None)

    task, seen = task_of(Step("fills", fill_up), tmp_path / "run")
    path, error = _attempt(task, str(seen), here(), Nobody)
    assert path is None
    assert f"No space is left on the disk of {tmp_path / 'run'}" in error.message


def test_a_step_that_is_killed_again_and_again_is_given_up(tmp_path):
    """Ray repeats without end what it kills for want of memory; attempts are counted here."""
    task, seen = task_of(Step("hungry", write_number, {"n": 1}), tmp_path / "run")
    for _ in range(ATTEMPTS):
        new_partial(task.steps, task.folder)
    path, error = _attempt(task, str(seen), here(), None)
    assert path is None
    assert "killed 4 times (out of memory" in error.message
    assert pickle.loads(pickle.dumps(error)).hint == error.hint


def test_no_cluster_and_no_ray_are_told(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(InputError, match=r"No Ray cluster could be joined at 127\.0\.0\.1:1: "):
        _connect("127.0.0.1:1", None)
    refused = ConnectionError("Failed to connect")
    refused.__cause__ = RuntimeError(
        "ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken"
    )
    assert "RAY_AUTH_MODE=token" in _way_in(refused)
    assert "RAY_AUTH_MODE=token" in _way_in(ray.exceptions.AuthenticationError("no token"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install \"veneer\[ray\]\""):
        run_steps([graph()[0]], folder, place=on_ray(folder))


def test_ctrl_c_ends_the_tasks_and_says_that_the_run_can_go_on(cluster, tmp_path):
    command = [sys.executable, "-m", "veneer", "run", TINY, "--out", tmp_path / "run"]
    process = subprocess.Popen(
        [*command, "--backend", "ray", "--ray-address", cluster.address],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "VENEER_CACHE": ""},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("run/steps/.partial-world-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "what was done is kept" in err
    assert "Traceback" not in err
    _gone("world-s0")


def test_the_cluster_configurations_are_what_ray_up_takes():
    from ray.autoscaler._private.util import prepare_config, validate_config

    path = Path(__file__).parents[2] / "docs" / "cluster" / "ray-cluster.yaml"
    own = yaml.safe_load(path.read_text())
    ready = prepare_config(own)
    validate_config(ready)
    workers = len(own["provider"]["worker_ips"])
    assert [t["min_workers"] for t in ready["available_node_types"].values()] == [workers]
    _, aws = path.read_text().split("\n#\n# provider:")
    lines = f"# provider:{aws}".splitlines()
    cloud = {**own, **yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))}
    validate_config(prepare_config(cloud))
    assert cloud["available_node_types"]["gpu"]["min_workers"] == 1


def _gone(name):
    deadline = time.monotonic() + 20
    while _tasks(name) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _tasks(name)


def _tasks(name):
    """Processes that do a step of that name: Ray names them after their tasks."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path] if path.read_bytes().startswith(b"ray::" + name.encode()) else []
        except OSError:
            continue
    return found
