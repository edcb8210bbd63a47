"""Commands that other distributions add to the command line."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from lagoqueue import _commands
from lagoqueue.cli import main


@click.command()
@click.option("--name")
def hello(name: str) -> None:
    """Say hello."""
    click.echo(f"hello {name}")


no_command = 5


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four distributions: one that works, and three that do not."""
    values = {
        "hello": f"{__name__}:hello",
        "gone": "no_such_module:command",
        "renamed": f"{__name__}:no_such_name",
        "strange": f"{__name__}:no_command",
        "worker": "no_such_module:another",
    }
    found = [EntryPoint(name, value, _commands.GROUP) for name, value in values.items()]
    monkeypatch.setattr(_commands, "entry_points", lambda group: found if group == _commands.GROUP else [])


def test_a_command_that_is_installed_runs() -> None:
    assert run("hello", "--name", "ada") == (0, "hello ada\n")


def test_the_groups_own_commands_go_first() -> None:
    assert run("worker", "--help")[1].startswith("Usage: main worker")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone", "No module named 'no_such_module'"),
        ("renamed", "no_such_name"),
        ("strange", "it is a int, not a click command"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--help"], ["--port", "5", "x"]])
def test_one_that_cannot_be_loaded_says_why(name: str, says: str, arguments: list[str]) -> None:
    code, said = run(name, *arguments)
    assert code == 1
    assert f"the command '{name}'" in said
    assert says in said


def test_and_leaves_the_others_be() -> None:
    code, said = run("--help")
    assert code == 0
    for text in ("hello", "Say hello.", "worker", "gone", "(cannot be loaded"):
        assert text in said


def test_a_command_that_nobody_has_is_a_usage_error() -> None:
    assert run("nothing")[0] == 2
