"""Write the generated parts of the documentation anew; `tests/test_docs.py` fails when they drift.

Run from the project's root:  .venv/bin/python docs/generate.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "",
    "collect",
    "synthesize",
    "curate",
    "nearest",
    "train",
    "measure",
    "judge",
    "rate",
    *(
        f"rate {name}"
        for name in (
            *("pack", "power", "serve", "invite", "status", "pause", "resume", "revoke"),
            *("forget", "results", "prolific", "mturk"),
        )
    ),
    *(f"rate mturk {name}" for name in ("launch", "approve", "expire", "status", "watch")),
    "run",
    "audit",
    "status",
    "report",
    "schema",
)


def help_of(command: str) -> str:
    """What `veneer COMMAND --help` prints on a terminal 80 columns wide."""
    from typer.testing import CliRunner

    from veneer.cli import app

    words = [*command.split(), "--help"]
    plain = {"NO_COLOR": "1"}
    done = CliRunner().invoke(
        app, words, prog_name="veneer", env=plain, terminal_width=78, catch_exceptions=False
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def commands_page() -> str:
    """`docs/commands.md`."""
    parts = ["# The commands", "", "Generated from `--help` by `make docs`.", ""]
    for command in COMMANDS:
        title = f"veneer {command}".strip()
        parts += [f"## `{title}`", "", "```text", help_of(command), "```", ""]
    return "\n".join(parts)


def schema_file() -> str:
    """`docs/study.schema.json`, for editors that complete and check study files."""
    from veneer.spec import json_schema

    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def sample_output() -> str:
    """What `veneer run pocket` printed for the findings kept in `docs/sample/`."""
    from veneer.records import Findings
    from veneer.report.summary import summary

    findings = Findings.model_validate_json((ROOT / "docs/sample/findings.json").read_text("utf-8"))
    return summary(findings, "runs/pocket/report/index.html")


def with_block(text: str, name: str, content: str) -> str:
    """`text` with the block between the marks of `name` replaced."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
    assert re.search(pattern, text, re.S), f"no block {name}"
    return re.sub(pattern, lambda m: f"{m[1]}```text\n{content}\n```\n{m[2]}", text, flags=re.S)


def generated() -> dict[str, str]:
    """Every generated file, by path from the root."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return {
        "docs/commands.md": commands_page(),
        "docs/study.schema.json": schema_file(),
        "README.md": with_block(readme, "sample", sample_output()),
    }


if __name__ == "__main__":
    for path, content in generated().items():
        (ROOT / path).write_text(content, "utf-8")
        print(f"wrote {path}")
