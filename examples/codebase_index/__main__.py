"""Index a directory of Python files with durable jobs: `python -m codebase_index [DIRECTORY]`."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import signal
import sys
import sysconfig
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from codebase_index.board import Board
from codebase_index.fleet import Fleet
from codebase_index.index import Index
from codebase_index.jobs import IndexFile, open_queue
from codebase_index.progress import Progress
from lagoqueue import LagoqueueError, dispatch
from lagoqueue.monitor import PAGE_SIZE, FailedJob
from lagoqueue_sql import SQLQueue

_LOOK = 0.2
_MOST_SHOWN = 10


def main() -> None:
    """Read the command line and run the index."""
    parser = argparse.ArgumentParser(prog="codebase_index", description=__doc__)
    stdlib = Path(sysconfig.get_path("stdlib"))
    parser.add_argument("directory", nargs="?", type=Path, default=stdlib, help="default: the standard library")
    parser.add_argument(
        "--url",
        default="sqlite:///codebase_index.db",
        metavar="URL",
        help="where the queue and the index are kept, such as postgresql://user@host/database (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=int,
        default=8787,
        help="where the dashboard is served, to this computer only; a free port if taken (default: %(default)s)",
    )
    parser.add_argument(
        "--stay",
        action=argparse.BooleanOptionalAction,
        default=sys.stdin.isatty() and sys.stdout.isatty(),
        help="when all is done, keep dashboard and workers until Ctrl-C (default: on a terminal)",
    )
    options = parser.parse_args()
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, not {options.workers}")
    if not 0 <= options.port < 2**16:
        parser.error(f"--port must be 0 to 65535, not {options.port}")
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is not a directory")
    try:
        url = sa.make_url(options.url)
        indexing = Indexing(options.directory.resolve(), url, options.workers)
        sys.exit(asyncio.run(indexing.run(options.port, options.stay)))
    except (ArgumentError, LagoqueueError) as error:
        parser.error(f"--url: {error}")


class Indexing:
    """One run of the program."""

    def __init__(self, directory: Path, url: sa.URL, workers: int) -> None:
        self._files = sorted(path for path in directory.rglob("*.py") if "site-packages" not in path.parts)
        self._ids = {_job_id(path): path for path in self._files}
        self._directory = directory
        self._url = url
        self._workers = workers
        self._interrupts = 0
        self._index = Index(url, f"{directory}{os.sep}")

    async def run(self, port: int, stay: bool) -> int:
        """Dispatch, work, and report; return the process's exit code."""
        async with open_queue(self._url) as queue:
            await queue.setup()
            self._index.setup()
            async with Board(queue, port) as board:
                print(f"Watch it at {board.url}", flush=True)
                already = await self._dispatch(queue)
                fleet = Fleet(self._url, self._workers)
                signal.signal(signal.SIGINT, lambda number, frame: self._interrupt(fleet))
                progress = Progress(len(self._files), already)
                print(f"{self._workers} worker processes: {', '.join(map(str, fleet.pids))}. Ctrl-C stops them gently.")
                try:
                    await self._watch(queue, fleet, progress)
                    progress.end()
                    stopped = self._interrupts > 0
                    await self._report(queue, fleet, progress, already)
                    if stay and not stopped:
                        await self._stay(fleet, board)
                finally:
                    fleet.stop()
                    await asyncio.to_thread(fleet.wait, 60.0)
        return 130 if stopped else 0

    async def _dispatch(self, queue: SQLQueue) -> int:
        """Dispatch what is neither done, failed nor waiting; return how many files are done already.

        A job's id is made from its path, so dispatching it again while it waits changes nothing.
        """
        failed = {failed.id for failed in await self._failed(queue)}
        done = self._index.paths()
        left = {each: path for each, path in self._ids.items() if str(path) not in done and each not in failed}
        if not left and done:
            print(f"The index of {len(done):,} files is complete; starting it anew.")
            self._index.clear()
            for job_id in failed:
                await queue.failed_jobs.forget(job_id)
            left, done, failed = self._ids, set(), set()
        elif done or failed:
            print(f"Resuming: {len(done):,} files are indexed, {len(failed)} failed, {len(left):,} are left.")
        print(f"Dispatching {len(left):,} jobs, one per file below {self._directory}.")
        for job_id, path in left.items():
            await dispatch(queue, IndexFile(str(path)), id=job_id, exist_ok=True)
        return len(self._files) - len(left)

    async def _watch(self, queue: SQLQueue, fleet: Fleet, progress: Progress) -> None:
        """Show progress until every file is indexed or failed, or Ctrl-C."""
        while not self._interrupts:
            done, failed = self._index.count(), len(await self._failed(queue))
            progress.show(done, failed)
            if done + failed >= len(self._files):
                return
            fleet.replace_dead()
            await asyncio.sleep(_LOOK)

    async def _stay(self, fleet: Fleet, board: Board) -> None:
        """Go on working, for jobs that are retried from the dashboard, until Ctrl-C."""
        print(f"\nThe workers and the dashboard at {board.url} go on until Ctrl-C.", flush=True)
        while not self._interrupts:
            fleet.replace_dead()
            await asyncio.sleep(_LOOK)

    def _interrupt(self, fleet: Fleet) -> None:
        self._interrupts += 1
        fleet.stop()

    async def _failed(self, queue: SQLQueue) -> list[FailedJob]:
        pages = range(1, await queue.failed_jobs.count() // PAGE_SIZE + 2)
        return [each for page in pages for each in await queue.failed_jobs.list(page) if each.id in self._ids]

    async def _report(self, queue: SQLQueue, fleet: Fleet, progress: Progress, already: int) -> None:
        failed = await self._failed(queue)
        rows, attempts, lines, functions, classes = self._index.totals()
        retries = attempts - rows + sum(each.job.attempts - 1 for each in failed)
        ran = rows + len(failed) - already
        print(f"\nrows     {rows:,} files: {lines:,} lines, {functions:,} functions, {classes:,} classes")
        print(f"jobs     {ran:,} in {progress.seconds:.1f} s: {ran / progress.seconds:,.0f} jobs/s")
        print(f"retries  {retries:,}" + (f", {fleet.deaths} workers died and were replaced" if fleet.deaths else ""))
        print(f"failed   {len(failed):,}")
        for each in failed[:_MOST_SHOWN]:
            print(f"         {_path(each)}: {each.error}")
        if len(failed) > _MOST_SHOWN:
            print(f"         and {len(failed) - _MOST_SHOWN} more")
        if failed:
            print(f"\nThe end of the first one's traceback, from the failed-jobs store:\n\n{_last_lines(failed[0])}")
        if self._interrupts:
            print(f"\nStopped with {len(self._files) - rows - len(failed):,} files left; run it again to go on.")
        else:
            print(f"\nThe index and the failed jobs are in {self._url}.")


def _job_id(path: Path) -> str:
    return "index-" + hashlib.sha256(str(path).encode()).hexdigest()[:32]


def _path(failed: FailedJob) -> str:
    return Path(msgspec.json.decode(failed.job.payload, type=IndexFile).path).name


def _last_lines(failed: FailedJob) -> str:
    return "\n".join(f"  {line}" for line in failed.traceback.rstrip().splitlines()[-6:])


if __name__ == "__main__":
    main()
