"""Collecting through an endpoint that misbehaves: our client beside asyncio.gather over the SDK.

Run it from the project's root:  .venv/bin/python bench/collecting.py [--prompts N] [--only NAME …]

A local server keeps a limit on requests a minute and says so only by HTTP 429 with retry-after;
it answers slowly, with 500s and 503s, resets before and in the middle of bodies, 30 s stalls, empty
choices, malformed JSON, missing and wrong ids. PROMPTS are asked, 64 at a time:

  plain         asyncio.gather over AsyncOpenAI, a semaphore of 64, the SDK's own retries
  ours          ApiModel
  ours-keys     ApiModel, and the server honours idempotency keys
  kills         ApiModel, SIGKILLed KILLS times at random moments and started again
  kills-keys    the same, and the server honours idempotency keys

Prints a table and one JSON object. `right` answers are those that are their prompt's; `twice` is
what the server billed more than once; `share` is what was used of the permitted rate after the
first minute, until the last twentieth of the prompts; `limited` the share of requests answered 429
in that time.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from api_answers import answer_to
from api_server import start

CONCURRENCY = 64
KILLS = 20
LIMIT = 2400
FAULTS = {
    "latency": 0.3,
    "latency_sigma": 0.4,
    "slow_share": 0.02,
    "slow_seconds": 5.0,
    "p_500": 0.02,
    "p_503": 0.01,
    "p_reset_before": 0.005,
    "p_reset_mid": 0.01,
    "p_stall": 0.002,
    "p_empty_choices": 0.005,
    "p_malformed": 0.005,
    "p_missing_id": 0.005,
    "p_wrong_id": 0.005,
}
SCENARIOS = ("plain", "ours", "ours-keys", "kills", "kills-keys")


def prompts_of(count: int) -> list[str]:
    return [f"What is the {i}th thing to know?" for i in range(count)]


def ask_ours(url: str, prompts: list[str], journal: Path) -> dict:
    """Our client, in this process: the answers, its report and what the collection cost."""
    from dataclasses import asdict

    from veneer.models.api.client import ApiModel
    from veneer.models.api.endpoint import Endpoint
    from veneer.models.asking import Ask

    with ApiModel(Endpoint("gpt-4o-mini", url), journal=journal, concurrency=CONCURRENCY) as model:
        replies = model.ask([Ask.of(prompt) for prompt in prompts], max_new_tokens=64)
        report, spent = asdict(model.report()), asdict(model.spent())
    return {
        "answers": [reply.text if reply else None for reply in replies],
        "report": report,
        "spent": spent,
    }


def ask_plain(url: str, prompts: list[str]) -> dict:
    """What one writes first: a semaphore, gather, and the SDK's defaults."""
    from openai import AsyncOpenAI, OpenAIError

    async def run() -> list[str | None]:
        client = AsyncOpenAI(base_url=url, api_key="none")
        room = asyncio.Semaphore(CONCURRENCY)

        async def one(prompt: str) -> str | None:
            async with room:
                try:
                    said = await client.chat.completions.create(
                        model="gpt-4o-mini",
                        messages=[{"role": "user", "content": prompt}],
                        max_tokens=64,
                    )
                    return said.choices[0].message.content
                except (OpenAIError, ValueError, IndexError, AttributeError, TypeError):
                    return None

        return await asyncio.gather(*map(one, prompts))

    return {"answers": asyncio.run(run())}


def child(args: argparse.Namespace, name: str, url: str, journal: Path, out: Path) -> list[str]:
    command = [sys.executable, __file__, "--child", name, "--url", url, "--prompts"]
    return [*command, str(args.prompts), "--journal", str(journal), "--out", str(out)]


def scenario(args: argparse.Namespace, name: str, folder: Path) -> dict:
    """One line of the table."""
    kills = KILLS if name.startswith("kills") else 0
    journal, out, draw = folder / "journal.sqlite", folder / "out.json", random.Random(args.seed)
    with start(
        limit="sliding",
        requests_per_minute=args.limit,
        limit_headers=False,
        honours_idempotency=name.endswith("keys"),
        seed=args.seed,
        **FAULTS,
    ) as server:
        began, killed = time.perf_counter(), 0
        command = child(args, "plain" if name == "plain" else "ours", server.url, journal, out)
        while not out.exists():
            process = subprocess.Popen(command)
            try:
                process.wait(draw.uniform(1.5, 6.0) if killed < kills else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
            else:
                if process.returncode:
                    raise SystemExit(f"{name}: the client failed")
        wall = time.perf_counter() - began
        ledger = server.ledger()
    return figures(args, json.loads(out.read_text()), ledger) | {
        "scenario": name,
        "kills": killed,
        "wall_s": round(wall, 1),
    }


def figures(args: argparse.Namespace, got: dict, ledger: dict) -> dict:
    prompts = prompts_of(args.prompts)
    right = sum(
        text == answer_to(prompt) for prompt, text in zip(prompts, got["answers"], strict=True)
    )
    billed = Counter(line["key"] for line in ledger["billed"])
    rejected = Counter(ledger["rejected"])
    arrived, first = ledger["arrived"], ledger["arrived"][0]
    accepted = [then for then in arrived if not rejected[then]]
    start_at, end = first + 60, accepted[int(0.95 * len(accepted))]
    used = sum(start_at <= then < end for then in accepted)
    limited = sum(start_at <= then < end for then in ledger["rejected"])
    late = end > start_at + 10
    return {
        "right": right,
        "lost": args.prompts - right,
        "billed": len(ledger["billed"]),
        "twice": sum(count - 1 for count in billed.values()),
        "in_doubt": got.get("spent", {}).get("in_doubt"),
        "share": round(used / ((end - start_at) * args.limit / 60), 4) if late else None,
        "limited": round(limited / max(1, used + limited), 5) if late else None,
        "limited_in_all": len(ledger["rejected"]),
        "requests": len(arrived),
        "faults": ledger["faults"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=5000)
    parser.add_argument("--limit", type=float, default=LIMIT, help="requests a minute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, default=SCENARIOS)
    for hidden in ("--child", "--url", "--journal", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OPENAI_API_KEY", "none")
    if args.child:
        prompts = prompts_of(args.prompts)
        plain = args.child == "plain"
        got = (
            ask_plain(args.url, prompts)
            if plain
            else ask_ours(args.url, prompts, Path(args.journal))
        )
        part = Path(args.out + ".part")
        part.write_text(json.dumps(got))
        part.rename(args.out)
        return
    rows = []
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(scenario(args, name, Path(folder)))
        row = rows[-1]
        shown = ("right", "billed", "twice", "in_doubt", "share", "limited", "wall_s", "kills")
        print(f"{name:11}" + "".join(f"  {key} {row[key]}" for key in shown), flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
