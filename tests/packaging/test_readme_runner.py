"""The tool that runs a README's example notices one that fails, lies, or does not end."""

from __future__ import annotations

import pytest

import run_readme

README = """# Title

```console
$ pip install it
```

```python
print("one")
print("two")
```

```text
one
two
```

```python
raise SystemExit("the second example is not run")
```
"""


def test_the_first_example_and_its_output_are_found() -> None:
    assert run_readme.example_in(README) == ('print("one")\nprint("two")\n', "one\ntwo\n")


def test_a_text_block_further_on_is_not_its_output() -> None:
    markdown = "```python\npass\n```\n\nWords.\n\n```text\nother\n```\n"
    assert run_readme.example_in(markdown) == ("pass\n", None)


def test_a_file_without_an_example_is_an_error() -> None:
    with pytest.raises(ValueError, match="no ```python block"):
        run_readme.example_in("# Nothing here\n")


def test_what_prints_what_it_says_is_accepted() -> None:
    assert run_readme.run('print("one")\nprint("two")\n', "one\ntwo\n") == []
    assert run_readme.run('print("anything")\n', None) == []


def test_other_output_is_reported() -> None:
    assert "should have printed:\ntwo\nbut printed:\none\n" in run_readme.run('print("one")\n', "two\n")[0]


def test_a_failing_example_is_reported_with_what_it_printed() -> None:
    (problem,) = run_readme.run('raise LookupError("gone")\n', None)
    assert "exit code 1" in problem
    assert "LookupError: gone" in problem


def test_an_example_that_never_ends_is_reported() -> None:
    assert run_readme.run("import threading\nthreading.Event().wait()\n", None, patience=1.0) == [
        "the example did not end within 1 s"
    ]
