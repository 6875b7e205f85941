import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from veneer.errors import InputError, RunFolderError, StepFailed
from veneer.steps import Job, RunFolder, SourceFile, Step, run_steps
from veneer.steps.graph import versioned


def write_number(job):
    (job.out / "n").write_text(str(job.params["n"]))


def add(job):
    for done in range(3):
        job.progress(done, 3)
    total = sum(int((path / "n").read_text()) for path in job.inputs.values())
    (job.out / "n").write_text(str(total))


def break_down(job):
    (job.out / "half").write_text("half")
    raise ValueError("no luck")


def refuse(job):
    raise InputError("Bad number.", "Give a good one.")


def die(job):
    os.kill(os.getpid(), signal.SIGKILL)


def linger(job):
    Path(job.params["mark"]).write_text("started")
    time.sleep(60)


def count_up(job):
    """Die after each count but the third; the count is kept in the scratch folder."""
    job.scratch.mkdir(exist_ok=True)
    kept = job.scratch / "count"
    count = int(kept.read_text()) + 1 if kept.exists() else 1
    kept.write_text(str(count))
    if count < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    (job.out / "n").write_text(str(count))


def graph():
    one = Step("one", write_number, {"n": 1})
    two = Step("two", write_number, {"n": 2})
    return one, two, Step("sum", add, {}, {"a": one, "b": two})


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_runs_in_order_and_only_once(tmp_path, workers):
    folder = RunFolder(tmp_path / "run")
    *_, total = graph()
    events = []
    run_steps([total], folder, workers, events.append)
    assert (folder.output(total) / "n").read_text() == "3"
    assert [e.kind for e in events].count("done") == 3
    assert events[-1].steps_done == events[-1].steps_total == 3
    assert events[-1].seconds_left == 0
    events.clear()
    run_steps([total], folder, workers, events.append)
    assert events == []


def test_identity_is_what_decides_the_result():
    one, two, total = graph()
    assert one.fingerprint != two.fingerprint
    renamed = Step("another name", write_number, {"n": 1}, seconds=99)
    assert renamed.fingerprint == one.fingerprint
    assert Step("sum", add, {}, {"a": two, "b": one}).fingerprint != total.fingerprint

    def newer(job):
        pass

    newer.__name__ = "write_number"
    assert Step("one", newer, {"n": 1}).fingerprint == one.fingerprint
    assert Step("one", versioned(2)(newer), {"n": 1}).fingerprint != one.fingerprint
    assert (total / "n").fingerprint != total.fingerprint


def test_one_output_serves_steps_that_differ_in_name_only(tmp_path):
    folder = RunFolder(tmp_path / "run")
    same = [Step(name, write_number, {"n": 2}) for name in ("first", "second")]
    total = Step("sum", add, {}, {"a": same[0], "b": same[1]})
    run_steps([total, Step("more", add, {}, {"c": same[1] / "."})], folder)
    assert (folder.output(total) / "n").read_text() == "4"
    assert len(list(folder.steps.iterdir())) == 3


def test_a_source_file_is_known_by_content_not_by_place(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("same")
    b.write_text("same")
    assert SourceFile(a).fingerprint == SourceFile(b).fingerprint
    b.write_text("other")
    assert SourceFile(a).fingerprint != SourceFile(b).fingerprint
    with pytest.raises(InputError, match="does not exist"):
        _ = SourceFile(tmp_path / "none").fingerprint


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_step_names_itself_and_the_rest_goes_on(tmp_path, workers):
    folder = RunFolder(tmp_path / "run")
    *_, total = graph()
    bad = Step("bad", break_down)
    after = Step("after", add, {}, {"a": bad})
    with pytest.raises(StepFailed, match="Step bad failed: ValueError: no luck"):
        run_steps([after, total], folder, workers)
    assert folder.done(total)
    assert not folder.done(bad)
    assert not folder.done(after)


def test_a_users_mistake_inside_a_step_stays_a_users_mistake(tmp_path):
    with pytest.raises(InputError, match=r"Step refused: Bad number\.") as caught:
        run_steps([Step("refused", refuse)], RunFolder(tmp_path / "run"), workers=1)
    assert caught.value.exit_code == 2
    assert caught.value.hint == "Give a good one."


def test_a_killed_worker_is_reported(tmp_path):
    with pytest.raises(StepFailed, match="its process was killed"):
        run_steps([Step("dies", die)], RunFolder(tmp_path / "run"), workers=1)


def test_scratch_outlives_kills_until_the_step_is_done(tmp_path):
    folder = RunFolder(tmp_path / "run")
    step = Step("counts", count_up)
    for _ in range(2):
        with pytest.raises(StepFailed, match="its process was killed"):
            run_steps([step], folder, workers=1)
    assert (folder.scratch(step) / "count").read_text() == "2"
    run_steps([step], folder, workers=1)
    assert (folder.output(step) / "n").read_text() == "3"
    assert sorted(folder.steps.iterdir()) == [folder.output(step)]
    folder.scratch(step).mkdir()  # as a node leaves it that was believed dead
    (folder.steps / ".scratch-0123456789ab").mkdir()
    folder.clean()
    assert [p.name for p in folder.steps.glob(".*")] == [".scratch-0123456789ab"]


def test_scratch_stands_beside_the_output_where_nothing_else_is_said(tmp_path):
    assert Job(tmp_path / "out", {}, {}).scratch == tmp_path / ".scratch-out"
    assert Job(tmp_path / "out", {}, {}, scratch=tmp_path / "s").scratch == tmp_path / "s"


def test_outputs_of_shared_steps_are_recalled_from_the_cache(tmp_path):
    step = Step("one", write_number, {"n": 1}, shared=True)
    run_steps([step], RunFolder(tmp_path / "first", tmp_path / "cache"))
    events = []
    second = RunFolder(tmp_path / "second", tmp_path / "cache")
    run_steps([step], second, 0, events.append)
    assert events == []
    assert (second.output(step) / "n").read_text() == "1"


def test_another_process_on_the_folder_is_told_who_has_it(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        again = RunFolder(tmp_path / "run")
        with pytest.raises(RunFolderError, match=f"process {os.getpid()}"), again.locked():
            pass
    with folder.locked():
        pass


def test_a_folder_of_another_study_is_refused_with_the_fields(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.claim("study", {"name": "a", "seeds": [0], "recipe": {"rate": 1}}, may_differ=("seeds",))
    folder.claim(
        "study", {"name": "a", "seeds": [0, 1], "recipe": {"rate": 1}}, may_differ=("seeds",)
    )
    with pytest.raises(RunFolderError, match=r"spec\.recipe\.rate: 1 there, 2 here"):
        folder.claim(
            "study", {"name": "a", "seeds": [0], "recipe": {"rate": 2}}, may_differ=("seeds",)
        )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("…")
    with pytest.raises(RunFolderError, match="not a run folder"):
        RunFolder(tmp_path / "mine").claim("study", {})


def test_workers_die_with_a_killed_parent_and_the_rerun_starts_clean(tmp_path):
    """SIGKILL the parent alone: its worker must not live on and write."""
    mark = tmp_path / "mark"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_runner import linger\n"
        "from veneer.steps import Job, RunFolder, Step, run_steps\n"
        "if __name__ == '__main__':\n"
        "    run_steps([Step('slow', linger, {'mark': sys.argv[2]})], RunFolder(Path(sys.argv[3])), 1)\n"
    )
    script = tmp_path / "main.py"
    script.write_text(code)
    run = tmp_path / "run"
    args = [sys.executable, str(script), str(Path(__file__).parent), str(mark), str(run)]
    parent = subprocess.Popen(args)
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark.exists()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in children)
    folder = RunFolder(run)
    assert list(folder.steps.glob(".partial-*"))
    *_, total = graph()
    run_steps([total], folder)
    assert not list(folder.steps.glob(".partial-*"))
    assert json.loads((folder.output(total) / "step.json").read_text())["name"] == "sum"


def _alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
