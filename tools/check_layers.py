"""Fail when an import breaks the layers: between the packages, inside core, or in a circle.

    python tools/check_layers.py [ROOT]

Reads the source only (Python by its syntax tree, Cython by its import lines) and imports nothing.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCES = {
    "lagoqueue": "packages/core/src",
    "lagoqueue_sql": "packages/sqlqueue/src",
    "lagoqueue_dashboard": "packages/dashboard/src",
}

# What each package may import from outside the standard library and itself.
OUTSIDE = {
    "lagoqueue": {"msgspec", "click"},
    "lagoqueue_sql": {"lagoqueue", "msgspec", "sqlalchemy", "psycopg"},
    "lagoqueue_dashboard": {
        "lagoqueue",
        "msgspec",
        "click",
        "quart",
        "werkzeug",
        "jinja2",
        "markupsafe",
        "itsdangerous",
        "hypercorn",
    },
}
# A module, with all below it, that may import more: its user installs that, it is no dependency.
EXTRA_OUTSIDE = {"lagoqueue.testing": {"hypothesis", "pytest"}, "lagoqueue_sql.dialects.mysql": {"pymysql"}}

# Modules of core that another package must not know, directly or through a name in `lagoqueue`.
HIDDEN = {
    "lagoqueue_sql": {"worker", "execution", "runner", "run", "cli"},
    "lagoqueue_dashboard": {"worker", "execution", "runner", "run", "cli", "testing"},
}

# Inside core, lowest first: a module may import from its own row and from those above it in this
# list. A name stands for the module and everything below it.
CORE_ROWS: tuple[set[str], ...] = (
    {"errors", "_fields"},
    {"_time", "_loop", "job"},
    {"_log", "failure", "observer", "backoff", "unknown", "slot_thread", "current"},
    {"monitor"},
    {"queue"},
    {"_heap", "_codec", "_rows", "keeping"},
    {"_cycle"},
    {"dispatch", "_waiting", "_line"},
    {"_store"},
    {"_looking"},
    {"memory"},
    {"handlers"},
    {"delivery"},
    {"execution", "settler", "reporting"},
    {"exchange"},
    {"slots"},
    {"run"},
    {"worker"},
    {"runner"},
    {"_target", "_commands"},
    {"cli"},
    {""},  # the package itself, which re-exports
    {"testing", "__main__"},
)


@dataclass(frozen=True)
class Import:
    """One import statement: who imports, from where in the file, what, and whether only for types."""

    module: str
    path: Path
    line: int
    target: str
    names: tuple[str, ...] = ()
    typing_only: bool = False


def check(root: Path) -> list[str]:
    """Return one line for each broken rule, naming the file, the line and the rule."""
    imports = [each for package, folder in SOURCES.items() for each in read_package(root / folder, package)]
    modules = {name for package, folder in SOURCES.items() for name, _ in modules_of(root / folder, package)}
    exports = {name: each.target for each in imports if each.module == "lagoqueue" for name in each.names}
    problems: list[str] = []
    graph: dict[str, set[str]] = {}
    for each in imports:
        for target in targets(each, modules):
            reason = broken_rule(each, target, exports)
            if reason:
                problems.append(f"{each.path.relative_to(root)}:{each.line}: {reason}")
            if not each.typing_only and target in modules and target != each.module:
                graph.setdefault(each.module, set()).add(target)
    rows = [(name, row_of(name)) for name in sorted(modules) if name.partition(".")[0] == "lagoqueue"]
    problems += [
        f"{name} has no row: give it one in CORE_ROWS in tools/check_layers.py" for name, row in rows if row is None
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        problems.append(f"modules import each other in a circle: {' -> '.join(reversed(error.args[1]))}")
    return sorted(set(problems))


def broken_rule(each: Import, target: str, exports: dict[str, str]) -> str | None:
    """Return the rule that importing `target` breaks, or None."""
    package = each.module.partition(".")[0]
    outside = target.partition(".")[0]
    if outside != package:
        extra = [names for prefix, names in EXTRA_OUTSIDE.items() if within(each.module, prefix)]
        if outside not in sys.stdlib_module_names and outside not in OUTSIDE[package].union(*extra):
            allowed = ", ".join(sorted(OUTSIDE[package]))
            return f"{each.module} imports {target}: {package} may import the standard library, {allowed} and itself"
        hidden = {f"lagoqueue.{name}" for name in HIDDEN.get(package, set())}
        reached = [target, *(exports[name] for name in each.names if target == "lagoqueue" and name in exports)]
        for name in reached:
            if any(within(name, one) for one in hidden):
                return f"{each.module} imports from {name}, which {package} must not know"
        return None
    if package == "lagoqueue":
        row, target_row = row_of(each.module), row_of(target)
        if row is not None and target_row is not None and target_row > row:
            return f"{each.module} imports {target}, which is above it"
    return None


def row_of(module: str) -> int | None:
    """Return the row of a module of core, counted from the lowest; None when the table lacks it."""
    inner = module.removeprefix("lagoqueue").removeprefix(".")
    for number, row in enumerate(CORE_ROWS):
        if any(within(inner, name) if name else not inner for name in row):
            return number
    return None


def within(module: str, prefix: str) -> bool:
    """Tell whether a module is `prefix` or below it."""
    return module == prefix or module.startswith(f"{prefix}.")


def targets(each: Import, modules: set[str]) -> Iterator[str]:
    """Yield the modules that a statement imports: `from package import module` names the inner one."""
    inner = [name for name in each.names if f"{each.target}.{name}" in modules]
    yield from (f"{each.target}.{name}" for name in inner)
    if len(inner) < len(each.names) or not each.names:
        yield each.target


# --- Reading --------------------------------------------------------------------------------------


def modules_of(source: Path, package: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and file of each module of a package."""
    for path in sorted((source / package).rglob("*.py*")):
        if path.suffix in {".py", ".pyx", ".pxd"}:
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def read_package(source: Path, package: str) -> Iterator[Import]:
    """Yield every import of a package."""
    for module, path in modules_of(source, package):
        yield from (read_python if path.suffix == ".py" else read_cython)(module, path)


def read_python(module: str, path: Path) -> Iterator[Import]:
    """Yield the imports of a Python file, also those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for statement in node.body
        for inner in ast.walk(statement)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, path, node.lineno, alias.name, typing_only=node in typing_only)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*parents, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            yield Import(module, path, node.lineno, target, names, node in typing_only)


def read_cython(module: str, path: Path) -> Iterator[Import]:
    """Yield the imports of a Cython file; cimports of C's and CPython's own headers are not any."""
    pattern = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(.+)|c?import\s+([\w.]+))")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = pattern.match(line)
        if match:
            target = match[1] or match[3]
            if target.partition(".")[0] not in {"libc", "cpython", "cython", "posix"}:
                names = tuple(re.findall(r"\w+", match[2] or ""))
                yield Import(module, path, number, target, names)


def main() -> int:
    """Print what is broken; 1 when anything is."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    problems = check(root)
    for problem in problems:
        print(problem)
    if not problems:
        print("import layers: in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
