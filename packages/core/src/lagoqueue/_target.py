"""MODULE:ATTRIBUTE on a command line: what it names."""

from __future__ import annotations

import importlib

import click


def load_target(target: str, example: str) -> object:
    """Return what MODULE:ATTRIBUTE names.

    Args:
        target: As it was typed.
        example: What it could be, for the message when it is not of that form.

    Raises:
        click.UsageError: It has another form, or the module or the attribute is not there.
    """
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise click.UsageError(f"{target!r} is not of the form MODULE:ATTRIBUTE, for example {example}")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports is missing
        raise click.UsageError(f"there is no module {module_name!r}; is --app-dir right?") from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise click.UsageError(f"{module_name!r} has no attribute {attribute!r}")
        found = getattr(found, part)
    return found
