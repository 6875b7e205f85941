"""Importing: files in every format met in the wild become rows, each kept or with a reason.

`read_batches` is the front door; `Profile` counts what it gives; `read_queries` and `read_texts`
give the queries alone.
"""

from veneer.corpus.importing.profile import Profile, profile, twins
from veneer.corpus.importing.queries import read_queries, read_texts
from veneer.corpus.importing.reading import read_batches

__all__ = ["Profile", "profile", "read_batches", "read_queries", "read_texts", "twins"]
