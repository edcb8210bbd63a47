"""Run the first Python example of a Markdown file as a program of its own; fail when it fails.

    python tools/run_readme.py packages/core/README.md

The example runs as it stands, in an empty folder, with the interpreter that runs this: so it shows
what works where only that interpreter's environment is installed. A ```text block that comes right
after it is the output to expect.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PATIENCE = 60.0
"""Seconds for the example as a whole."""

EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


def example_in(markdown: str) -> tuple[str, str | None]:
    """Return the first Python block, and the text block right after it, if there is one.

    Raises:
        ValueError: There is no Python block.
    """
    match = EXAMPLE.search(markdown)
    if match is None:
        raise ValueError("there is no ```python block")
    return match[1], match[2]


def run(source: str, expected: str | None, patience: float = PATIENCE) -> list[str]:
    """Run the example; return what went wrong, with what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "example.py"
        script.write_text(source, encoding="utf-8")
        try:
            result = subprocess.run(
                [sys.executable, "-u", script],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=patience,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [f"the example did not end within {patience:g} s"]
    printed = result.stdout + result.stderr
    if result.returncode:
        return [f"the example failed with exit code {result.returncode}, having printed:\n{printed}"]
    if expected is not None and printed != expected:
        return [f"the example should have printed:\n{expected}but printed:\n{printed}"]
    return []


def main() -> int:
    """Run the example of the file named on the command line; 1 when something went wrong."""
    path = Path(sys.argv[1])
    problems = run(*example_in(path.read_text(encoding="utf-8")))
    for problem in problems:
        print(f"{path}: {problem}")
    if not problems:
        print(f"{path}: the first example runs")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
