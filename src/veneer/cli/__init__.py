"""The commands. No logic: each reads its arguments, calls one function, prints what it returns."""

from veneer.cli import data, students, measures, raters, crowds, study  # isort: skip  (the order of --help)
from veneer.cli.app import app, main

__all__ = ["app", "crowds", "data", "main", "measures", "raters", "students", "study"]
