"""The tool that compares the typing examples with the checkers tells a missed error from a wrong one."""

from __future__ import annotations

from pathlib import Path

import check_typing_examples


def test_marks_and_errors_are_compared_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("fine()\nwrong()  # E: takes an argument\nalso_wrong()  # E: not async\nplain()  # a comment\n")
    expected = check_typing_examples.expected_lines(path)
    assert expected == {2, 3}
    assert check_typing_examples.compare(path, "mypy", expected, {2: "x", 3: "y"}) == []
    assert check_typing_examples.compare(path, "mypy", expected, {1: "no such name", 2: "x"}) == [
        f"{path}:3: mypy accepts: also_wrong()  # E: not async",
        f"{path}:1: mypy refuses: no such name",
    ]
