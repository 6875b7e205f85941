"""Files that others wrote: their records, streamed, with a place and a reason where broken."""

from veneer.files.opening import open_bytes, read_text
from veneer.files.reading import HUB, fingerprint, name_of, read_records
from veneer.files.values import Record

__all__ = ["HUB", "Record", "fingerprint", "name_of", "open_bytes", "read_records", "read_text"]
