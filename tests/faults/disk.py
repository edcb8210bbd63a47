"""A disk so small that it can be filled: a tmpfs, mounted for one scenario, with the database's own files on it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

import servers


class Disk:
    """A mounted file system of its own; a context manager."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._size = f"size={megabytes}m"
        self._ballast = path / "ballast"

    def __enter__(self) -> Disk:
        self.path.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", self._size, "tmpfs", str(self.path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise servers.missing(f"a small disk cannot be mounted here, which takes root: {done.stderr.strip()}")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)  # -l: also while a process that ends has it open

    def fill(self) -> None:
        """Leave no room at all."""
        ballast = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while True:
                os.write(ballast, bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(ballast)

    def free(self) -> None:
        """Make room again."""
        with suppress(FileNotFoundError):
            self._ballast.unlink()


@contextmanager
def under(server: servers.PostgreSQL | servers.MariaDB, url: str, megabytes: int) -> Iterator[Disk]:
    """Put a new, empty database on a disk of its own; what the server writes for all of them, its log first, is not there."""
    name = sa.make_url(url).database
    assert name is not None
    if isinstance(server, servers.PostgreSQL):
        with Disk(server.folder / "disk", megabytes) as disk:
            space = disk.path / "space"
            space.mkdir()
            os.chown(space, *_owner(server.data))
            server.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
            server.sql(f"ALTER DATABASE {name} SET TABLESPACE small")
            yield disk
    else:
        folder = server.data / name
        options = {file: file.read_bytes() for file in folder.iterdir()}
        with Disk(folder, megabytes) as disk:
            os.chown(folder, *_owner(server.data))
            for file, content in options.items():
                file.write_bytes(content)
            yield disk


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid
