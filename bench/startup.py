"""Start-up: `veneer --help` beside `python -c "import typer"`, each as a whole process.

Run it from the project's root:  .venv/bin/python bench/startup.py
Prints the medians of RUNS alternating runs and their ratio; the goal is at most 1.5.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 25


def seconds(command: list[str]) -> float:
    """Wall seconds of one whole process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Time both in turn, so that a drifting machine slows both alike."""
    veneer = [str(Path(sys.executable).with_name("veneer")), "--help"]
    typer = [sys.executable, "-c", "import typer"]
    ours, theirs = [], []
    for _ in range(RUNS + 1):
        ours.append(seconds(veneer))
        theirs.append(seconds(typer))
    ours, theirs = ours[1:], theirs[1:]  # the first of each warms the disk
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"veneer --help          median {statistics.median(ours) * 1000:6.1f} ms")
    print(f"import typer           median {statistics.median(theirs) * 1000:6.1f} ms")
    print(f"ratio, run by run      median {statistics.median(ratios):6.2f}   (n {RUNS})")


if __name__ == "__main__":
    main()
