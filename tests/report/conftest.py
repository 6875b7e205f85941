"""Reports built once and read by every test of the room."""

from __future__ import annotations

from pathlib import Path

import pytest
import report_judged
import report_samples as samples

from veneer.report import build


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the study, two seeds, with its report."""
    run = samples.study_run(tmp_path_factory.mktemp("study") / "run")
    build(run)
    return run


@pytest.fixture(scope="session")
def concluded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with measurements and findings from `veneer.findings`, one seed."""
    run = samples.study_run(tmp_path_factory.mktemp("concluded") / "run", (0,), concluded=True)
    build(run)
    return run


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of an audit: one student, no tokens, no capability."""
    run = samples.audit_run(tmp_path_factory.mktemp("audit") / "run")
    build(run)
    return run


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which everything is undefined."""
    run = samples.empty_run(tmp_path_factory.mktemp("empty") / "run")
    build(run)
    return run


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with preferences, categories, support and alarms, all from `veneer.findings`."""
    run = report_judged.judged_run(tmp_path_factory.mktemp("judged") / "run")
    build(run)
    return run
