"""Nothing makes code of what a job holds, and the tool that says so sees each way of doing it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import check_data_only
from check_data_only import Use, cython_uses, python_uses
from check_layers import SOURCES

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[2]


def test_a_payload_is_data() -> None:
    assert check_data_only.check(ROOT) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("import marshal as quick", "marshal"),
        ("from dill import loads", "dill"),
        ("def late():\n    import shelve", "shelve"),
        ("eval(payload)", "eval"),
        ("run = exec", "exec"),
        ("import builtins\nbuiltins.eval(payload)", "eval"),
        ("import builtins\nbuiltins.compile(payload)", "compile"),
        ("compile(payload, '', 'exec')", "compile"),
        ("getattr(thing, 'eval')(payload)", "eval"),
        ("__import__(job.name)", "__import__"),
        ("import importlib\nimportlib.import_module(job.name)", "import_module"),
        ("from importlib import import_module as load", "import_module"),
        ("import sys\nsys.modules[job.name]", "modules"),
        ("globals()[job.name]()", "globals"),
        ("import os\nos.system(job.name)", "system"),
        ("from os import system", "system"),
        ("import subprocess", "subprocess"),
        ("import sqlalchemy as sa\nsa.PickleType()", "PickleType"),
        ("environment.from_string(job.name)", "from_string"),
    ],
)
def test_python_that_could_run_data_is_seen(source: str, name: str) -> None:
    assert name in [use.name for use in python_uses(source)]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("from marshal cimport loads", "marshal"),
        ("cdef object value = eval(payload)", "eval"),
        ("cdef object value = <object?>exec(payload)", "exec"),
        ("compile(payload, '', 'exec')", "compile"),
        ("__import__(job.name)", "__import__"),
        ('raise ValueError(f"of {eval(payload)!r}")', "eval"),
        ("""cdef extern from "Python.h":\n    object PyRun_String(const char*, int, object, object)""", "PyRun_String"),
        ("from cpython.pythonrun cimport PyRun_SimpleString", "PyRun_SimpleString"),
        ("PyMarshal_ReadObjectFromString(data, size)", "PyMarshal_ReadObjectFromString"),
        ("'it''s' ; eval(payload)", "eval"),
        ('"""one\n"two" # three\n""" ; eval(payload)', "eval"),
    ],
)
def test_cython_that_could_run_data_is_seen(source: str, name: str) -> None:
    assert name in [use.name for use in cython_uses(source)]


@pytest.mark.parametrize(
    "source",
    [
        '"""Nothing is unpickled: no pickle, no eval(x)."""',
        "import re\nPATTERN = re.compile('x')",
        "evaluate = executive = 1",
        "code = job.code",
    ],
)
def test_what_only_looks_like_it_is_left_alone(source: str) -> None:
    assert list(python_uses(source)) == []
    assert list(cython_uses(f"{source}  # eval(x)".replace("re.compile", "re.search"))) == []


def test_the_line_is_told() -> None:
    assert list(python_uses("x = 1\n\neval(x)")) == [Use(3, "eval")]
    assert list(cython_uses('"""a\nb"""\n# c\neval(x)')) == [Use(4, "eval")]


def test_a_permission_holds_for_one_module_and_not_for_longer_than_it_is_needed(tmp_path: Path) -> None:
    for folder in SOURCES.values():
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    core = tmp_path / SOURCES["lagoqueue"] / "lagoqueue"
    target = (core / "_target.py").read_text("utf-8")
    (core / "_target.py").write_text(target.replace("importlib.import_module(module_name)", "module_name"), "utf-8")
    (core / "handlers.py").write_text(f"{target}\n", "utf-8")
    line = next(number for number, text in enumerate(target.splitlines(), 1) if "import_module" in text)
    assert check_data_only.check(tmp_path) == [
        "lagoqueue._target no longer needs import_module: take it out of ALLOWED",
        f"packages/core/src/lagoqueue/handlers.py:{line}: import_module can make code of data",
    ]
