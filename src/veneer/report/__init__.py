"""Show: one self-contained page, with its figures and tables beside it.

    build(run) -> Path                      run/report/index.html from the records in `run`
    write_bars(findings, path) -> Path      the two bars alone, as SVG or PNG

Importing this room loads neither matplotlib nor jinja2; building does.
"""

from __future__ import annotations

from pathlib import Path

from veneer.errors import InputError
from veneer.records import Findings


def build(run: Path) -> Path:
    """Write `run/report/` (index.html, figures/, tables/) and return the page's path.

    Reads what `veneer.report.reading` names. The folder appears whole or not at all, and
    the same records give the same bytes.

    Raises:
        InputError: the run folder lacks measurements or findings, or a file is broken.
    """
    from veneer.report.page import folder_files
    from veneer.report.publish import publish
    from veneer.report.reading import read_run

    publish(run / "report", folder_files(read_run(run)))
    return run / "report" / "index.html"


def write_bars(findings: Findings, path: Path) -> Path:
    """Write the two bars as a picture; the suffix, `.svg` or `.png`, names the format."""
    from veneer.report.bars import bars_figure
    from veneer.report.drawing import files

    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png"):
        raise InputError(f"{path.name}: the bars are written as .svg or .png.", "Name it bars.png.")
    path.write_bytes(files("bars", lambda: bars_figure(findings))[f"bars.{kind}"])
    return path
