"""Generated documentation says what the program says."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh():
    return generator().generated()


@pytest.mark.parametrize("path", ["docs/commands.md", "docs/study.schema.json", "README.md"])
def test_generated_text_has_not_drifted(fresh, path):
    assert (ROOT / path).read_text("utf-8") == fresh[path], "type: make docs"


@pytest.mark.parametrize("group", ["", "rate", "rate mturk"])
def test_every_command_is_documented(group):
    listed = re.findall(r"^  (\w+)  ", generator().help_of(group).split("Commands:")[1], re.M)
    known = [name.rpartition(" ") for name in generator().COMMANDS if name]
    assert set(listed) == {name for above, _, name in known if above == group}


def test_readmes_commands_are_in_the_makefile():
    readme = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"\bmake (\w+)", readme))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_links_and_pictures_in_the_pages_exist():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
