"""Fail when the product could come to run what a job holds: unpickle it, evaluate it, or import what it names.

    python tools/check_data_only.py [ROOT]

A payload is JSON for a type that was declared, and a job's name is looked up in a table. So the sources
may not even mention what makes code of data, but in the places that `ALLOWED` names with a reason. Python
is read by its syntax tree; Cython, of which Python makes none, by its words outside comments and texts.
Imports nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from check_layers import SOURCES, modules_of

MODULES = frozenset(
    {
        *("pickle", "_pickle", "cPickle", "pickletools", "copyreg", "marshal", "shelve"),
        *("dill", "cloudpickle", "jsonpickle", "joblib", "yaml"),
        *("code", "codeop", "runpy", "imp", "zipimport", "pkgutil"),
        *("subprocess", "pty", "ctypes", "cffi"),
    }
)
"""Modules that turn bytes into objects of any kind, or text into code, and those that run programs."""

NAMES = frozenset(
    {
        *("eval", "exec", "__import__", "import_module", "find_spec", "spec_from_file_location", "module_from_spec"),
        *("entry_points", "EntryPoint", "modules", "__builtins__", "globals", "__globals__"),
        *("CodeType", "FunctionType", "PickleType", "from_string", "render_template_string"),
        *("system", "popen", "posix_spawn", "execv", "execve", "create_subprocess_exec", "create_subprocess_shell"),
    }
)
"""What does the same under other roofs. Templates are code, too."""

BUILTIN = frozenset({"compile"})
"""Harmful as a builtin; of other things it is a method, as in `re.compile`."""

C_API = ("PyImport_", "PyRun_", "PyEval_Eval", "PyMarshal_", "Py_Compile")
"""How C names what does the same."""

ALLOWED = {
    ("lagoqueue._target", "import_module"): "MODULE:ATTRIBUTE, which the user types on a command line of their own",
    ("lagoqueue._commands", "entry_points"): "commands of distributions that the user has installed",
    ("lagoqueue._commands", "EntryPoint"): "the same",
    (
        "lagoqueue_dashboard.standalone.opening",
        "entry_points",
    ): "drivers that the user has installed, for their own URL",
    ("lagoqueue_dashboard.rendering", "globals"): "jinja's name for what all templates may use",
    ("lagoqueue_sql.completing", "find_spec"): "whether greenlet is there, by that name alone",
    ("lagoqueue_sql.within", "modules"): "psycopg, by that name alone, if the application has imported it",
}
"""Where a name may stand, and why that is no way from a job to code."""


class Use(NamedTuple):
    """Where a name stands that may not."""

    line: int
    name: str


def check(root: Path) -> list[str]:
    """Return one line for each such name, and for each permission that nothing needs any more."""
    problems: list[str] = []
    needed: set[tuple[str, str]] = set()
    for package, folder in SOURCES.items():
        for module, path in modules_of(root / folder, package):
            text = path.read_text(encoding="utf-8")
            for use in sorted(set(python_uses(text) if path.suffix == ".py" else cython_uses(text))):
                if (module, use.name) in ALLOWED:
                    needed.add((module, use.name))
                else:
                    problems.append(f"{path.relative_to(root)}:{use.line}: {use.name} can make code of data")
    problems += [f"{module} no longer needs {name}: take it out of ALLOWED" for module, name in ALLOWED.keys() - needed]
    return sorted(problems)


def python_uses(text: str) -> Iterator[Use]:
    """Yield what a Python source mentions: imported, named, reached as an attribute, or spelled out in a text."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names=names):
                yield from (Use(node.lineno, name) for each in names for name in _of_import(each.name))
            case ast.ImportFrom(module=module, names=names):
                yield from (Use(node.lineno, name) for name in _of_import(module or ""))
                yield from (Use(node.lineno, each.name) for each in names if each.name in MODULES | NAMES)
            case ast.Name(id=name) if name in NAMES | BUILTIN:
                yield Use(node.lineno, name)
            case ast.Attribute(value=ast.Name(id="builtins"), attr=name) if name in BUILTIN:
                yield Use(node.lineno, name)
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)) if name in NAMES:
                yield Use(node.lineno, name)
            case _:
                pass


def _of_import(module: str) -> list[str]:
    first = module.partition(".")[0]
    return [first] if first in MODULES else []


_CYTHON = re.compile(
    r"""(?P<prefix>[A-Za-z]*)(?P<text>(?P<q>'''|\"""|'|")(?:\\.|(?!(?P=q)).)*(?P=q))|\#[^\n]*|(?P<word>[A-Za-z_]\w*)""",
    re.DOTALL,
)


def cython_uses(text: str) -> Iterator[Use]:
    """Yield what a Cython source mentions, the expressions within f-strings included."""
    for found in _CYTHON.finditer(text):
        if found["word"] is not None:
            words = [found["word"]]
        elif found["text"] is not None and "f" in found["prefix"].lower():
            words = re.findall(r"\w+", " ".join(re.findall(r"\{([^{}]*)\}", found["text"])))
        else:
            continue
        for word in words:
            imported = (
                word in MODULES and "import " in text[text.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
            )
            if imported or word in NAMES | BUILTIN or word.startswith(C_API):
                yield Use(text.count("\n", 0, found.start()) + 1, word)


def main() -> int:
    """Print what stands where it may not; 1 when anything does."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    problems = check(root)
    for problem in problems:
        print(problem)
    if not problems:
        print("a payload is data: nothing makes code of it")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
