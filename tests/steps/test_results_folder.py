"""Folders of results: whole or not at all, and never over something else."""

import json

import pytest

from veneer.errors import RunFolderError
from veneer.steps import ABOUT, check_results, identity_of, results_in


def filled(out, study, kind="audit"):
    with results_in(out) as made:
        (made / ABOUT).write_text(json.dumps({"kind": kind, "study": study}))
        (made / "result").write_text("1")


def test_a_folder_appears_whole(tmp_path):
    out = tmp_path / "deep" / "out"
    with results_in(out) as made:
        (made / "result").write_text("1")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["result"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_an_error_leaves_what_was_there(tmp_path):
    out = tmp_path / "out"
    filled(out, {"files": 1})
    with pytest.raises(FileNotFoundError), results_in(out) as made:
        (made / "missing" / "result").write_text("half")
    assert (out / "result").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_old_files_do_not_stay_beside_new_ones(tmp_path):
    out = tmp_path / "out"
    filled(out, {"files": 1})
    with results_in(out) as made:
        (made / "other").write_text("2")
    assert [path.name for path in out.iterdir()] == ["other"]


def test_only_the_same_results_are_replaced(tmp_path):
    out = tmp_path / "out"
    check_results(out, "audit", {"files": 1}, called="an audit")
    out.mkdir()
    check_results(out, "audit", {"files": 1}, called="an audit")
    filled(out, {"files": 1})
    check_results(out, "audit", {"files": 1}, called="an audit")
    with pytest.raises(RunFolderError, match="an audit of other files"):
        check_results(out, "audit", {"files": 2}, called="an audit")
    with pytest.raises(RunFolderError, match="something else than a curation"):
        check_results(out, "curation", {"files": 1}, called="a curation")
    (out / ABOUT).write_text("[1")
    with pytest.raises(RunFolderError, match="something else than an audit"):
        check_results(out, "audit", {"files": 1}, called="an audit")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RunFolderError, match="is a file"):
        check_results(file, "audit", {}, called="an audit")


def test_identity_is_the_content_and_not_the_place(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(text)
    one, two, three = (identity_of([("x", tmp_path / n / "rows.jsonl")]) for n in "abc")
    assert one == two != three
