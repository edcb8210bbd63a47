"""The `lagoqueue` command."""

from __future__ import annotations

import asyncio
import logging
import sys

import click

from lagoqueue._commands import Commands
from lagoqueue._target import load_target
from lagoqueue.runner import run_until_signal
from lagoqueue.worker import Worker


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lagoqueue-core", prog_name="lagoqueue")
def main() -> None:
    """Background jobs: run the workers of an application, and look at what they do."""


@main.command()
@click.argument("target", metavar="MODULE:ATTRIBUTE")
@click.option("--burst", is_flag=True, help="Stop when nothing is due and nothing is running.")
@click.option("--app-dir", default=".", show_default=True, help="Folder from which MODULE is imported.")
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="How much to log, to standard error.",
)
def worker(target: str, burst: bool, app_dir: str, log_level: str) -> None:
    """Run a worker until SIGINT or SIGTERM.

    MODULE:ATTRIBUTE names a Worker, or a function without arguments that returns one, for example
    `lagoqueue worker shop.jobs:worker`. The first signal lets running jobs finish; a second one
    gives them back to the queue at once.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.path.insert(0, app_dir)
    found = _load(target)
    asyncio.run(found.run(burst=True) if burst else run_until_signal(found))


def _load(target: str) -> Worker:
    found = load_target(target, "shop.jobs:worker")
    if not isinstance(found, Worker) and callable(found):
        found = found()
    if not isinstance(found, Worker):
        raise click.UsageError(f"{target} is a {type(found).__name__}, not a Worker or a function that returns one")
    return found
