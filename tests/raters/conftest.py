"""Databases for the raters' tests: a real Postgres where one is installed, and SQLite files."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534


class Postgres:
    """A server of this test run alone, on 127.0.0.1. Postgres refuses to run as root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.made = 0
        folder.chmod(0o700)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        self._run("initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8")

    def _run(self, program: str, *args: str) -> None:
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.folder / "said").open("a") as said:
            subprocess.run(
                [self.programs / program, "-D", self.folder / "data", *args],
                check=True,
                cwd=self.folder,
                stdout=said,
                stderr=said,
                timeout=60,
                **who,
            )

    def start(self) -> None:
        flags = f"-F -c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", flags, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres:not-a-secret@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        self.made += 1
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE d{self.made}")
        return self.url(f"d{self.made}")


def programs() -> Path | None:
    """The folder of Postgres' programs, the newest version's."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3])
    )
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres():
    """A running Postgres server."""
    where = programs()
    if where is None:
        pytest.skip("Postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="veneer-postgres-"))
    server = Postgres(where, folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_url(postgres):
    """The URL of an empty Postgres database."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request, tmp_path):
    """The URL of an empty store, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/votes.db"
    return request.getfixturevalue("postgres_url")
