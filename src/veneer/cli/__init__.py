"""The commands. No logic: each reads its arguments, calls one function, prints what it returns."""

from veneer.cli import data, students, study
from veneer.cli.app import app, main

__all__ = ["app", "data", "main", "students", "study"]
