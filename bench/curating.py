"""Curating 25,000 to 100,000 dialogues: time, memory, and what a kill costs.

    python bench/curating.py DIALOGUES [--eval FILE] [--sizes 25000,50000,100000] [--backend local]

DIALOGUES is a folder of real dialogues (any format that `veneer` imports). They are recombined
into as many as are wanted, the same ones each time: 1 to 4 exchanges, lengths as they are, one in
ten a copy of an earlier one, one in ten nearly. Prints seconds, rows a second and the peak memory
of all processes together ("anonymous" leaves out pages of files, which the system can take back),
and for the last size the time of a run that is killed half-way and started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from veneer.corpus.importing import read_batches
from veneer.corpus.rows import dialogues

OPTIONS = {
    "language": "en",
    "split": 1500,
    "identity": True,
    "keywords": ["lorem ipsum"],
    "near_duplicates": 0.8,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dialogues", type=Path)
    options.add_argument("--eval", type=Path)
    options.add_argument("--sizes", default="25000,50000,100000")
    options.add_argument("--backend", default="local")
    options.add_argument("--workers", type=int, default=None)
    options.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        one(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        whole: tuple[float, str] = (0.0, "")
        for size in map(int, given.sizes.split(",")):
            file = build(given.dialogues, Path(folder) / f"talks-{size}.jsonl", size)
            whole = timed(given, file, Path(folder) / f"out-{size}", size)
        print(f"{'killed and resumed':>24}: ", end="", flush=True)
        killed(given, file, Path(folder) / "killed", whole)


def one(given: argparse.Namespace) -> None:
    """The child: one curation."""
    from veneer.corpus.pipeline import curate_files, curation_of

    curate_files(
        [given.dialogues],
        given.one,
        settings=curation_of(OPTIONS),
        against=[given.eval] if given.eval else [],
        backend=given.backend,
        workers=given.workers,
        progress=lambda done, total, note: print(
            f"{time.monotonic():.1f} {done} {note}", flush=True
        ),
    )


def timed(given: argparse.Namespace, file: Path, out: Path, size: int) -> tuple[float, str]:
    started = time.monotonic()
    process = child(given, file, out)
    peak = [0, 0]
    while process.poll() is None:
        peak = [max(a, b) for a, b in zip(peak, memory(process.pid), strict=True)]
        time.sleep(0.2)
    seconds = time.monotonic() - started
    assert process.returncode == 0, "the curation failed"
    stats = json.loads((out / "stats.json").read_text())
    print(
        f"{size:>8,} dialogues, {file.stat().st_size / 1e6:6.1f} MB: {seconds:6.1f} s, "
        f"{size / seconds:6.0f} rows/s, peak {peak[0] / 1024:6.0f} MB, "
        f"anonymous {peak[1] / 1024:6.0f} MB, kept {stats['kept']:,}",
        flush=True,
    )
    return seconds, digest(out)


def killed(given: argparse.Namespace, file: Path, out: Path, whole: tuple[float, str]) -> None:
    """Kill all processes half-way, start again, compare."""
    started = time.monotonic()
    process = child(given, file, out)
    time.sleep(whole[0] / 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = time.monotonic() - started
    process = child(given, file, out)
    assert process.wait() == 0
    seconds = time.monotonic() - started
    same = "the same bytes" if digest(out) == whole[1] else "OTHER BYTES"
    print(f"{before:.1f} s + {seconds - before:.1f} s against {whole[0]:.1f} s, {same}")


def child(given: argparse.Namespace, file: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, str(file), "--one", str(out), "--backend", given.backend]
    command += ["--eval", str(given.eval)] if given.eval else []
    command += ["--workers", str(given.workers)] if given.workers else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    threading.Thread(target=drain, args=(process,), daemon=True).start()
    return process


def drain(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    log = Path(tempfile.gettempdir()) / "curating.log"
    with log.open("wb") as out:
        for line in process.stdout:
            out.write(line)
            out.flush()


def memory(pid: int) -> list[int]:
    """Resident and anonymous kB of a process and all below it."""
    total = [0, 0]
    for each in [pid, *below(pid)]:
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
        anonymous = int(sizes.get("RssAnon", 0))
        total[0] += sum(int(size) for size in sizes.values())
        total[1] += anonymous
    return total


def below(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for each in path.read_text().split():
                found += [int(each), *below(int(each))]
        except OSError:
            continue
    return found


def digest(out: Path) -> str:
    names = ("corpus.jsonl", "dropped.jsonl", "stats.json", "card.md")
    return hashlib.sha256(b"".join((out / name).read_bytes() for name in names)).hexdigest()


def build(folder: Path, file: Path, size: int) -> Path:
    """Recombined dialogues in the ShareGPT format; a larger file begins with a smaller one's."""
    pairs = []
    for path in sorted(folder.iterdir()):
        batches = read_batches(path)
        for dialogue in (each for batch in batches for each in dialogues(batch)):
            said = [m.content for m in dialogue.messages if m.role != "system"]
            pairs += list(zip(said[::2], said[1::2], strict=False))
    draw = random.Random(0)
    earlier: list[str] = []
    with file.open("w", encoding="utf-8") as out:
        for number in range(size):
            kind = draw.random()
            if earlier and kind < 0.2:
                turns = json.loads(draw.choice(earlier))
                if kind < 0.1:
                    turns[0]["value"] += draw.choice([".", "!", " please", " Thanks"])
            else:
                turns = []
                chosen = draw.choices(pairs, k=draw.choice([1, 1, 1, 2, 3, 4]))
                other = draw.choice(pairs)[0].split()[:12]
                for at, (asked, answered) in enumerate(chosen):
                    asked = f"{asked}\n\n{' '.join(other)}" if at == 0 else asked
                    turns += [{"from": "human", "value": asked}, {"from": "gpt", "value": answered}]
            if len(earlier) < 5000:
                earlier.append(json.dumps(turns))
            record = {"id": f"talk-{number}", "conversations": turns}
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    return file


if __name__ == "__main__":
    main()
