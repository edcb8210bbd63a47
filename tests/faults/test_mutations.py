"""The suite notices when the product is wrong: each mutation makes a scenario fail, by what it breaks and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.journal import Reader, What
from tests.faults.mutations import MUTATIONS, Mutant, Mutation, TextNotFound, module
from tests.faults.scenario import SQLITE
from tests.faults.scenarios import SCENARIOS
from tests.faults.stage import Broken, play


@pytest.mark.faults
@pytest.mark.timeout(300)  # with every seed
@pytest.mark.parametrize(
    "mutation",
    [
        pytest.param(each, id=f"{each.name}-{each.database}", marks=[pytest.mark.slow] if each.slow else [])
        for each in MUTATIONS
    ],
)
def test_a_mutation_makes_its_scenario_fail(mutation: Mutation, tmp_path: Path) -> None:
    seen: list[AssertionError] = []
    for seed in mutation.seeds:
        error = played_with(mutation, seed, tmp_path / str(seed))
        if error is not None and shows(error, mutation.shown):
            return
        seen += [error] if error is not None else []
    others = "".join(f"\n\nIt failed for another reason: {error}" for error in seen)
    pytest.fail(f"the scenario {mutation.scenario!r} does not notice: {mutation.name}{others}")


def played_with(mutation: Mutation, seed: int, folder: Path) -> AssertionError | None:
    """Play the scenario with the mutation, and return why it fails, if it does."""
    folder.mkdir()
    mutant = Mutant(folder / "mutant", mutation)
    try:
        play(SCENARIOS[mutation.scenario], mutation.database, seed, folder, environment=mutant.environment)
    except AssertionError as error:
        return error
    finally:
        started = {event.pid for event in Reader(folder / "journal").read() if event.what is What.STARTED}
        assert started, "no process has started"
        assert started <= mutant.importers, "a process has run the product as it is"
    return None


def shows(error: AssertionError, what: tuple[str, ...]) -> bool:
    """Tell whether a scenario failed by one of these: invariants, or an assertion of its fault."""
    if isinstance(error, Broken):
        return any(breach.invariant in what for breach in error.breaches)
    return any(each in str(error) for each in what)


@pytest.mark.faults
@pytest.mark.parametrize("file", ["lagoqueue/run.py", "lagoqueue_sql/operations.py"])
def test_a_mere_copy_passes(file: str, tmp_path: Path) -> None:
    text = "from __future__ import annotations\n"
    assert played_with(Mutation("none", file, text, text, "all killed at once", SQLITE, ()), 1, tmp_path / "1") is None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: f"{each.name}-{each.database}")
def test_a_mutation_is_of_the_code_as_it_is(mutation: Mutation) -> None:
    source = module(mutation.file).read_text()
    mutated = mutation.apply(source)
    assert mutated != source
    compile(mutated, mutation.file, "exec")
    assert mutation.database in SCENARIOS[mutation.scenario].databases


def test_a_text_that_is_not_there_once_is_an_error() -> None:
    mutation = replace(MUTATIONS[0], text="no such text")
    with pytest.raises(TextNotFound, match="0 times"):
        mutation.apply("a source\n")
    with pytest.raises(TextNotFound, match="2 times"):
        replace(mutation, text="a").apply("a a")
