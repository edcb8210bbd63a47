"""Fail unless the typing examples are right and wrong where they say so, for mypy and for pyright.

`tests/typing/api_ok.py` must be clean under both. In `tests/typing/api_bad.py` each line that ends
in `# E: <why>` must be an error in both, and no other line may be one in either.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests" / "typing"
MARK = re.compile(r"# E: \w")


def expected_lines(path: Path) -> set[int]:
    """Return the numbers of the lines that are marked as wrong."""
    return {number for number, line in enumerate(path.read_text("utf-8").splitlines(), 1) if MARK.search(line)}


def mypy_errors(path: Path) -> dict[int, str]:
    """Return the first error of mypy on each line."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", "--no-pretty", str(path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    errors: dict[int, str] = {}
    for line in result.stdout.splitlines():
        match = re.match(r"(.+?):(\d+)(?::\d+)?: error: (.*)", line)
        if match and Path(ROOT, match[1]).resolve() == path.resolve():
            errors.setdefault(int(match[2]), match[3])
        elif match:
            raise SystemExit(f"mypy failed elsewhere: {line}")
    if result.returncode not in (0, 1):
        raise SystemExit(f"mypy did not run:\n{result.stdout}{result.stderr}")
    return errors


def pyright_errors(path: Path) -> dict[int, str]:
    """Return the first error of pyright on each line."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pyright"]
    kept = {key: value for key, value in settings.items() if key not in {"include", "exclude", "extraPaths"}}
    with TemporaryDirectory() as folder:  # pyright skips what the project excludes, even when it is named
        (Path(folder) / "pyrightconfig.json").write_text(json.dumps({**kept, "include": [path.name]}))
        shutil.copy(path, folder)
        command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "--project", folder]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        report = json.loads(result.stdout)
    except ValueError:
        raise SystemExit(f"pyright did not run:\n{result.stdout}{result.stderr}") from None
    if report["summary"]["filesAnalyzed"] != 1:
        raise SystemExit(f"pyright looked at {report['summary']['filesAnalyzed']} files instead of {path}")
    errors: dict[int, str] = {}
    for each in report["generalDiagnostics"]:
        if each["severity"] == "error":
            errors.setdefault(each["range"]["start"]["line"] + 1, each["message"].splitlines()[0])
    return errors


def compare(path: Path, checker: str, expected: set[int], errors: dict[int, str]) -> list[str]:
    """Return one line for each example that a checker judges differently from its mark."""
    lines = path.read_text("utf-8").splitlines()
    missed = [f"{path}:{n}: {checker} accepts: {lines[n - 1].strip()}" for n in sorted(expected - errors.keys())]
    wrong = [f"{path}:{n}: {checker} refuses: {errors[n]}" for n in sorted(errors.keys() - expected)]
    return missed + wrong


def check(path: Path) -> list[str]:
    """Return what both checkers judge differently from the marks in a file."""
    expected = expected_lines(path)
    return [
        *compare(path, "mypy", expected, mypy_errors(path)),
        *compare(path, "pyright", expected, pyright_errors(path)),
    ]


def main() -> int:
    """Check both files; 1 when an example is judged otherwise than it says."""
    right, wrong = EXAMPLES / "api_ok.py", EXAMPLES / "api_bad.py"
    marks = len(expected_lines(wrong))
    problems = [*check(right), *check(wrong)]
    if expected_lines(right):
        problems.append(f"{right} is the file without errors, but has lines marked `# E:`")
    if not marks:
        problems.append(f"{wrong} marks no line with `# E: <why>`, so it shows nothing")
    for problem in problems:
        print(problem)
    if not problems:
        print(f"typing examples: the right ones are clean, and the {marks} wrong ones refused, by mypy and pyright")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
