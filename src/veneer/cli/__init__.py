"""The commands. No logic: each reads its arguments, calls one function, prints what it returns."""

from veneer.cli import data, students, measures, study  # isort: skip  (the order of --help)
from veneer.cli.app import app, main

__all__ = ["app", "data", "main", "measures", "students", "study"]
