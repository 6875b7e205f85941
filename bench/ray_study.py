"""A whole study on a two-node Ray cluster, with kills, against the local run: the same bytes.

    python bench/ray_study.py tiny
    python bench/ray_study.py pocket --cache ~/.cache/veneer

The two nodes are on this machine. On the way one task's process gets SIGKILL and one node is
taken away while it works, and replaced by a new one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
STUDIES = {"tiny": str(ROOT / "tests" / "tiny.yaml"), "pocket": "pocket"}
RESULTS = ("measurements.jsonl", "findings.json", "facts.json", "examples.jsonl")


def veneer(study: str, run: Path, cache: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "veneer", "run", study, "--out", str(run), *options]
    environment = {**os.environ, "VENEER_CACHE": cache}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def steps_on(node, run: Path) -> dict[str, psutil.Process]:
    """Steps that a node of this machine works on: Ray names processes after their tasks."""
    begun = {f"ray::{path.name[9:-22]}" for path in run.glob("steps/.partial-*")}
    found = {}
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in raylet.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            title = (process.cmdline() or [""])[0]
            if title in begun:
                found[title.removeprefix("ray::")] = process
    return found


def disturbed(study: str, run: Path, cache: str) -> tuple[float, dict[str, str], int]:
    """Seconds of the run on the cluster, what was killed with which step, and how it ended."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    begun, killed = time.monotonic(), {}
    process = veneer(study, run, cache, "--backend", "ray", "--ray-address", cluster.address)
    try:
        while process.poll() is None:
            time.sleep(0.2)
            done = len(list(run.glob("steps/*/step.json")))
            if "worker" not in killed and done >= 3:
                for name, task in steps_on(cluster.head_node, run).items():
                    task.kill()
                    killed["worker"] = name
            elif "worker" in killed and "node" not in killed and done >= 6:
                for name in steps_on(second, run):
                    killed["node"] = name
                    cluster.remove_node(second, allow_graceful=False)
                    second = cluster.add_node(num_cpus=1)
    finally:
        if process.poll() is None:
            process.kill()
        cluster.shutdown()
    return time.monotonic() - begun, killed, process.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="tiny, pocket, or a study file")
    parser.add_argument("--cache", default="", help="keeps pretrained models between runs")
    parser.add_argument("--local", type=Path, help="run folder of the local run, to keep it")
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as scratch:
        study = STUDIES.get(arguments.study, arguments.study)
        local = arguments.local or Path(scratch) / "local"
        if not (local / "findings.json").exists():
            begun = time.monotonic()
            code = veneer(study, local, arguments.cache, "--workers", "2").wait()
            print(f"local, 2 processes: {time.monotonic() - begun:.0f} s, exit code {code}")
        run = Path(scratch) / "ray"
        seconds, killed, code = disturbed(study, run, arguments.cache)
        print(f"Ray, 2 nodes of 1 core: {seconds:.0f} s, exit code {code}")
        print(f"killed on the way: {json.dumps(killed)}")
        if code:
            sys.exit(1)
        same = {name: (run / name).read_bytes() == (local / name).read_bytes() for name in RESULTS}
        print(f"equal bytes: {json.dumps(same)}")
        steps = [len(list(place.glob("steps/*/step.json"))) for place in (local, run)]
        left = [path.name for path in run.glob("steps/.*")]
        print(f"steps done: {steps[0]} locally, {steps[1]} under Ray; left over: {left}")
    sys.exit(0 if len(killed) == 2 and all(same.values()) else 1)


if __name__ == "__main__":
    main()
