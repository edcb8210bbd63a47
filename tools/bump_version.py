"""Give a distribution its next version, or check that a tag names the version that the sources have.

    python tools/bump_version.py core minor            0.1.0 -> 0.2.0; also major, patch, or X.Y.Z
    python tools/bump_version.py --check-tag core-v0.2.0

Writes the version into the distribution's pyproject.toml and its changelog, and the bounds of those
that depend on it into theirs. It neither commits nor tags: it prints the commands for that.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]


class BumpError(Exception):
    """The version cannot be made; nothing was written."""


@dataclass(frozen=True)
class Package:
    """A distribution: its folder below packages/, its tags' prefix, and the folders that depend on it."""

    distribution: str
    folder: str
    tag_prefix: str
    dependents: tuple[str, ...] = ()


PACKAGES = {
    "core": Package("lagoqueue-core", "core", "core-v", ("sqlqueue", "dashboard")),
    "sql": Package("lagoqueue-sql", "sqlqueue", "sql-v"),
    "dashboard": Package("lagoqueue-dashboard", "dashboard", "dashboard-v"),
}

Version = tuple[int, int, int]
VERSION_LINE = re.compile(r'^version = "(\d+)\.(\d+)\.(\d+)"', re.MULTILINE)
UNRELEASED = re.compile(r"^## Unreleased\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def parse(text: str) -> Version:
    """Return `X.Y.Z` as numbers."""
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise BumpError(f"a version is X.Y.Z, not {text!r}")
    return int(match[1]), int(match[2]), int(match[3])


def written(version: Version) -> str:
    """Return a version as text."""
    return ".".join(map(str, version))


def version_in(pyproject: str) -> Version:
    """Return the version that a pyproject.toml has."""
    match = VERSION_LINE.search(pyproject)
    if match is None:
        raise BumpError('the pyproject.toml has no line `version = "X.Y.Z"`')
    return int(match[1]), int(match[2]), int(match[3])


def next_version(old: Version, step: str, released: bool) -> Version:
    """Return the version after `old`; `old` itself may be named while it has never been released."""
    major, minor, patch = old
    steps = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}
    new = steps[step] if step in steps else parse(step)
    if new < old or (new == old and released):
        raise BumpError(f"{written(new)} does not come after {written(old)}")
    return new


def bounds(version: Version) -> str:
    """Return what a dependent allows: up to the next minor version while major is 0, else the next major."""
    major, minor, _ = version
    return f">=0.{minor},<0.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"


def with_version(pyproject: str, version: Version) -> str:
    """Return a pyproject.toml with another version."""
    return VERSION_LINE.sub(f'version = "{written(version)}"', pyproject, count=1)


def with_bounds(pyproject: str, distribution: str, version: Version) -> str:
    """Return a dependent's pyproject.toml with the bounds for a version."""
    changed, count = re.subn(rf'"{distribution}[<>=][^"]*"', f'"{distribution}{bounds(version)}"', pyproject)
    if count != 1:
        raise BumpError(f"a dependent names {distribution} {count} times in its pyproject.toml, not once")
    return changed


def released_changelog(changelog: str, version: Version, day: str) -> str:
    """Return a changelog whose unreleased entries have become those of a version."""
    match = UNRELEASED.search(changelog)
    if match is None or not match[1].strip():
        raise BumpError("the changelog has nothing under `## Unreleased`: say there what a user will notice")
    head, tail = changelog[: match.start()], changelog[match.end() :]
    return f"{head}## Unreleased\n\n## {written(version)} - {day}\n\n{match[1].strip()}\n\n{tail}".rstrip() + "\n"


def noted(changelog: str, line: str) -> str:
    """Return a changelog with one more unreleased entry."""
    match = UNRELEASED.search(changelog)
    if match is None:
        raise BumpError("a dependent's changelog has no `## Unreleased`")
    entries = "\n".join(filter(None, [match[1].strip(), line]))
    return f"{changelog[: match.start()]}## Unreleased\n\n{entries}\n\n{changelog[match.end() :]}".rstrip() + "\n"


def bump(root: Path, name: str, step: str, day: str) -> Version:
    """Write the next version of a package everywhere it stands, and return it.

    Raises:
        BumpError: There is nothing to release, or the version does not follow; nothing was written.
    """
    package = PACKAGES[name]
    files: dict[Path, str] = {}

    def file(folder: str, name: str) -> Path:
        path = root / "packages" / folder / name
        files.setdefault(path, path.read_text(encoding="utf-8"))
        return path

    pyproject, changelog = file(package.folder, "pyproject.toml"), file(package.folder, "CHANGELOG.md")
    old = version_in(files[pyproject])
    new = next_version(old, step, released=f"\n## {written(old)} " in files[changelog])
    files[pyproject] = with_version(files[pyproject], new)
    files[changelog] = released_changelog(files[changelog], new, day)
    for folder in package.dependents:
        dependent, log = file(folder, "pyproject.toml"), file(folder, "CHANGELOG.md")
        if f'"{package.distribution}{bounds(new)}"' not in files[dependent]:
            files[dependent] = with_bounds(files[dependent], package.distribution, new)
            files[log] = noted(files[log], f"- Needs {package.distribution} {bounds(new)}.")
    for path, content in files.items():
        path.write_text(content, encoding="utf-8")
    return new


def check_tag(root: Path, tag: str) -> str:
    """Return the name of the package that a tag releases.

    Raises:
        BumpError: The tag has no package's prefix, or names another version than the sources have.
    """
    for name, package in PACKAGES.items():
        if tag.startswith(package.tag_prefix):
            folder = root / "packages" / package.folder
            version = written(version_in((folder / "pyproject.toml").read_text(encoding="utf-8")))
            if tag != package.tag_prefix + version:
                raise BumpError(f"tag {tag} is not of version {version}, which {package.distribution} has")
            if f"\n## {version} " not in (folder / "CHANGELOG.md").read_text(encoding="utf-8"):
                raise BumpError(f"the changelog of {package.distribution} has no heading for {version}")
            return name
    raise BumpError(f"no package has tags like {tag!r}")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Do what the command line says; 1 with the reason when it cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", choices=sorted(PACKAGES))
    parser.add_argument("step", nargs="?", help="major, minor, patch or X.Y.Z")
    parser.add_argument("--check-tag", metavar="TAG")
    options = parser.parse_args(arguments)
    try:
        if options.check_tag:
            print(f"{options.check_tag} releases {check_tag(root, options.check_tag)}")
            return 0
        if not options.package or not options.step:
            parser.error("name a package and a step, or --check-tag TAG")
        version = written(bump(root, options.package, options.step, datetime.now(UTC).date().isoformat()))
    except BumpError as error:
        print(error, file=sys.stderr)
        return 1
    package = PACKAGES[options.package]
    print(f"{package.distribution} is now {version}. To release it:")
    print(f'  git commit -am "{package.distribution} {version}"')
    print(f"  git tag {package.tag_prefix}{version}")
    print(f"  git push origin HEAD {package.tag_prefix}{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
