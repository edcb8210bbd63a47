"""The `lagoqueue` command."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from typing import Any

import click

from lagoqueue.runner import run_until_signal
from lagoqueue.worker import Worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lagoqueue-core", prog_name="lagoqueue")
def main() -> None:
    """Background jobs: run the workers of an application."""


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
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise click.UsageError(f"{target!r} is not of the form MODULE:ATTRIBUTE, for example shop.jobs:worker")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports is missing
        raise click.UsageError(f"there is no module {module_name!r}; is --app-dir right?") from None
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise click.UsageError(f"{module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    if not isinstance(found, Worker) and callable(found):
        found = found()
    if not isinstance(found, Worker):
        raise click.UsageError(f"{target} is a {type(found).__name__}, not a Worker or a function that returns one")
    return found
