"""A local server that answers like the OpenAI API, with its limits, its faults and its bill.

    python tests/api_server.py --port 8000 --limit sliding --requests-per-minute 600
    python tests/api_server.py --port 0 --print-port --p-500 0.05 --p-reset-mid 0.01

In a test: `with start(p_500=0.1) as server: … server.url … server.ledger()`. Every field of
`api_provider.Options` is an option of both. Only the standard library is used; one core serves some thousands
of requests a second. Answers are known from their prompts: see `api_answers`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from dataclasses import fields
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from api_http import Reset, http, read
from api_provider import CHAT, Options, Server

# ---- HTTP ------------------------------------------------------------------------------


async def connection(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while request := await read(reader):
            try:
                status, headers, body = await server.answer(request)
            except Reset as cut:
                server.statuses["reset"] += 1
                if cut.part:
                    writer.write(cut.part)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                linger = struct.pack("ii", 1, 0)  # close with RST
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
                return
            if request.path.startswith(CHAT):
                server.statuses[str(status)] += 1
            writer.write(http(status, headers, body))
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def serve(options: Options, port: int, print_port: bool) -> None:
    server = Server(options)
    listening = await asyncio.start_server(
        lambda r, w: connection(server, r, w), "127.0.0.1", port, limit=2**22, backlog=1024
    )
    if print_port:
        print(listening.sockets[0].getsockname()[1], flush=True)
    async with listening:
        await listening.serve_forever()


# ---- for tests -------------------------------------------------------------------------


class Running:
    """A server in a process of its own. It ends with `stop()` or with the process that began it."""

    def __init__(self, options: dict[str, Any]) -> None:
        command = [sys.executable, __file__, "--print-port", "--with-parent"]
        command += ["--json", json.dumps(options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the test server did not start")
        self.root = f"http://127.0.0.1:{int(line)}"
        self.url = f"{self.root}/v1"

    def ledger(self) -> dict[str, Any]:
        """`Server.ledger` as JSON."""
        with urllib.request.urlopen(f"{self.root}/ledger") as got:
            return dict(json.load(got))

    def change(self, **options: Any) -> None:
        """Behave differently from now on; what was billed and asked is kept."""
        body = json.dumps(options).encode()
        urllib.request.urlopen(f"{self.root}/options", data=body).close()

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(**options: Any) -> Running:
    """A server with these `Options`, up when this returns."""
    Options(**options)
    return Running(options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--print-port", action="store_true")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin closes")
    parser.add_argument("--json", default="{}", help="options as one JSON object")
    for field in fields(Options):
        kind: Any = type(field.default)
        if kind is bool:
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", action=argparse.BooleanOptionalAction
            )
        else:
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind)
    args = vars(parser.parse_args())
    port, print_port, given = args.pop("port"), args.pop("print_port"), json.loads(args.pop("json"))
    if args.pop("with_parent"):

        def watch() -> None:
            sys.stdin.read()
            import os

            os._exit(0)

        threading.Thread(target=watch, daemon=True).start()
    options = Options(**given, **{k: v for k, v in args.items() if v is not None})
    asyncio.run(serve(options, port, print_port))


if __name__ == "__main__":
    main()
