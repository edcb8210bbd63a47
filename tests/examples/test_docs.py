"""Every Python block of the pages is run, in order, each page in one namespace with top-level await."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")})
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Yield each block with its line number in the page."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        yield text.count("\n", 0, found.start(1)) + 1, found[1]


WITH_CODE = [page for page in PAGES if any(blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # A program that calls asyncio.run itself is run as it is; a page of snippets shares one loop.
    with asyncio.Runner() as runner:
        for line, source in blocks(page):
            flags = 0 if "asyncio.run(" in source else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile("\n" * (line - 1) + source, str(page), "exec", flags | ast.PyCF_ONLY_AST)
            result = eval(compile(code, str(page), "exec", flags, dont_inherit=True), module.__dict__)
            if inspect.iscoroutine(result):
                runner.run(result)


def test_the_main_pages_have_code() -> None:
    names = {page.relative_to(ROOT).as_posix() for page in WITH_CODE}
    assert {"README.md", "docs/from-go.md", "packages/core/README.md"} <= names
