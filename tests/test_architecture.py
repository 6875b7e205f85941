"""The direction of the house, read from its imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "veneer"
STAGES = {"teacher", "corpus", "student", "measure", "raters", "findings", "report", "pocket"}
FOUNDATION = ["errors", "records", "intervals", "files", "steps", "models"]
HEAVY = [
    "torch",
    "transformers",
    "matplotlib",
    "datasets",
    "trl",
    "lm_eval",
    "numba",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "boto3",
    "markdown_it",
    "openai",
    "pyarrow",
    "ray",
]


def allowed(room: str) -> set[str]:
    """Rooms that a room may import, itself included; `*` for the wiring at the top."""
    if room in FOUNDATION:
        return set(FOUNDATION[: FOUNDATION.index(room) + 1])
    if room in STAGES:
        extra = {"findings"} if room == "report" else set()
        foundation = set(FOUNDATION) - ({"models"} if room in ("findings", "report") else set())
        return {room} | foundation | extra
    return {"*"}


def imports_of(path: Path) -> list[str]:
    """Rooms of veneer that a file imports, at its top or inside functions."""
    rooms = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "veneer":
                rooms += [alias.name for alias in node.names]
            elif node.module and node.module.startswith("veneer."):
                rooms.append(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms += [a.name.split(".")[1] for a in node.names if a.name.startswith("veneer.")]
    return [room for room in rooms if not room.startswith("__")]


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_imports_run_one_way(path):
    room = room_of(path)
    may = allowed(room)
    for imported in imports_of(path):
        assert imported != "cli" or room in ("__main__", "cli"), f"{room} imports the command line"
        if "*" not in may:
            assert imported in may, f"{room} may not import {imported}"


def test_the_rule_would_catch_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from veneer.corpus import curate\n")
    assert imports_of(wrong) == ["corpus"]
    assert "corpus" not in allowed("measure")
    assert "models" not in allowed("findings")
    assert "findings" in allowed("report")
    assert "findings" not in allowed("corpus")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_files_are_rooms_a_person_can_hold_in_mind(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400
    assert path.stem not in {"utils", "common", "core", "base", "helpers"}


@pytest.mark.parametrize(
    "statement",
    [
        "import veneer",
        "import veneer.cli",
        "import veneer.spec",
        "import veneer.study",
        "import veneer.audit",
        "import veneer.measuring",
        "import veneer.measuring_outputs",
        "import veneer.judging",
        "import veneer.rated",
        "import veneer.rating.packing",
        "import veneer.rating.planning",
        "import veneer.rating.results",
        "import veneer.rating.serving",
        *(f"import veneer.{room}" for room in sorted(STAGES | {"models", "steps"})),
        "import sys; sys.argv = ['veneer', '--help']; import veneer.cli\n"
        "try: veneer.cli.main()\nexcept SystemExit: pass",
    ],
)
def test_heavy_things_load_late(statement):
    code = f"{statement}\nimport sys\nprint('LOADED', [m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
