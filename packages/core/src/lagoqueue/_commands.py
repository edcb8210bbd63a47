"""`Commands`: a command line to which other distributions add commands, through an entry-point group."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

import click

GROUP = "lagoqueue.commands"
"""Where a distribution names its commands; each value is a `click.Command`."""


class Commands(click.Group):
    """A group of its own commands and of those that are installed. One that cannot be loaded leaves the others be."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(each.name for each in _installed())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for each in _installed():
            if each.name == cmd_name:
                return _load(each)
        return None


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


def _load(entry: EntryPoint) -> click.Command:
    try:
        command: object = entry.load()
    except Exception as error:
        return _broken(entry, f"{type(error).__name__}: {error}")
    if not isinstance(command, click.Command):
        return _broken(entry, f"it is a {type(command).__name__}, not a click command")
    return command


def _broken(entry: EntryPoint, reason: str) -> click.Command:
    """Return a command that says why the one under its name is not there."""

    def explain() -> NoReturn:
        origin = f" of {entry.dist.name}" if entry.dist is not None else ""
        raise click.ClickException(f"the command {entry.name!r}{origin} ({entry.value}) cannot be loaded: {reason}")

    # Whatever its arguments are: it does not know them.
    settings = {"ignore_unknown_options": True, "help_option_names": []}
    ignored = click.Argument(["ignored"], nargs=-1, expose_value=False, type=click.UNPROCESSED)
    summary = f"(cannot be loaded: {reason})"
    return click.Command(entry.name, settings, explain, [ignored], summary, short_help=summary, add_help_option=False)
