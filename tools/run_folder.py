"""A folder for what one run starts: it goes, with every server in it, when the run's last process has ended.

A run is a process and all that inherit its environment: pytest, its workers, the programs that tests
start. Each holds a shared lock on the folder's `lease`, and a guard, a process in a session of its
own, waits for the exclusive one. The kernel gives up the locks of a process however it ends, so
nothing outlives a run that was interrupted or killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "LAGOQUEUE_RUN_FOLDER"
"""The environment variable by which the processes of a run find their folder."""

PATIENCE = 10.0
"""Seconds that the guard gives a server to end, and a folder to become empty."""

_joining = threading.Lock()
_joined: Path | None = None


def run_folder() -> Path:
    """Return the run's folder, made by the first process that asks; it stays while this process lives.

    It is not in pytest's own temporary folder, because that one is closed to other users, and servers
    do not run as root; and because the path of a Unix socket may have 107 bytes only.
    """
    global _joined
    with _joining:
        if _joined is None:
            inherited = os.environ.get(VARIABLE)
            _joined = Path(inherited) if inherited and _join(Path(inherited)) else _begin()
            os.environ[VARIABLE] = str(_joined)
        return _joined


@contextmanager
def locked(path: Path, patience: float = 90.0) -> Iterator[None]:
    """Hold a lock that one process of the run can have at a time.

    Raises:
        TimeoutError: Another one has kept it for `patience` seconds.
    """
    import fcntl  # where there is none, on Windows, this module can still be imported

    deadline = time.monotonic() + patience
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} has been locked by another process for {patience:g} s") from None
                time.sleep(0.02)
        yield


def runs(pid: int, folder: Path) -> bool:
    """Tell whether a process runs that was started on `folder`: no zombie, and no stranger with the same number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # whatever it is, it is not ours
    try:
        return os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()  # where the system has no /proc, the number has to do


def end(folder: Path, patience: float = PATIENCE) -> None:
    """End the servers in `folder`, politely first, and delete it. Each keeps its number in `data/*.pid`."""
    deadline = time.monotonic() + patience
    noted = [file.read_text().split() for file in folder.glob("**/data/*.pid")]
    pids = [int(words[0]) for words in noted if words and runs(int(words[0]), folder)]
    for pid in pids:
        os.kill(pid, signal.SIGQUIT)  # PostgreSQL quits at once, and frees its shared memory; MariaDB shuts down
    while any(runs(pid, folder) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in pids:
        if runs(pid, folder):
            os.kill(pid, signal.SIGKILL)
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline + patience:
            return  # something writes into it still, which is not a server of ours
        time.sleep(0.01)


def _join(folder: Path) -> bool:
    """Take a lease; False when the run that the folder belonged to is over."""
    import fcntl

    try:
        lease = os.open(folder / "lease", os.O_RDONLY)  # closed by the kernel, when this process ends
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lease)
        return False
    if not (folder / "lease").exists():  # the guard was done between the two calls
        os.close(lease)
        return False
    return True


def _begin() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lagoqueue-")).resolve()
    folder.chmod(0o755)
    (folder / "lease").touch()
    if not _join(folder):
        raise RuntimeError(f"{folder}, which was new, is gone")
    subprocess.run(
        [sys.executable, "-IS", __file__, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # whoever reads what the run prints must not have to wait for the guard
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=True,
    )
    return folder


def _guard(folder: Path) -> None:
    """Wait, in the background, until nobody holds a lease; then end the servers and delete the folder."""
    import fcntl

    if os.fork():
        os._exit(0)  # the run does not wait for its guard
    os.setsid()  # nor does Ctrl-C reach it
    os.chdir("/")
    with (folder / "lease").open() as lease:
        fcntl.flock(lease, fcntl.LOCK_EX)
        end(folder)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
