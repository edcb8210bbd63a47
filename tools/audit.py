"""Fail when there is a known vulnerability in one of the distributions in a folder.

    python tools/audit.py SITE-PACKAGES

Has pip-audit ask the advisories of PyPI, and those of OSV about what PyPI says nothing of. Where neither
can be asked, as on a machine that reaches no more than a mirror of the index, nothing is known: that is
said so that nobody overlooks it, and is no failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from check_closure import normalized

SERVICES = ("pypi", "osv")
"""Where pip-audit asks, in this order."""

PATIENCE = 120
"""Seconds that one of them may take for all distributions."""


@dataclass
class Findings:
    """What is known.

    Attributes:
        clean: Distributions, "name version", without a known vulnerability.
        vulnerable: A line for each vulnerability.
        unknown: Names of which nobody has told anything, and why.
    """

    clean: list[str] = field(default_factory=list)
    vulnerable: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)


def findings(reports: Iterable[str]) -> Findings:
    """Put together what pip-audit has printed, as JSON, of one service after another; our own distributions left out."""
    found = Findings()
    told: set[str] = set()
    for report in reports:
        for each in json.loads(report)["dependencies"]:
            name = normalized(each["name"])
            if name in told or name.startswith("lagoqueue-"):
                continue
            if "skip_reason" in each:
                found.unknown.setdefault(name, each["skip_reason"])
                continue
            told.add(name)
            found.unknown.pop(name, None)
            found.vulnerable += [f"{name} {each['version']}: {described(one)}" for one in each["vulns"]]
            if not each["vulns"]:
                found.clean.append(f"{name} {each['version']}")
    return found


def described(vulnerability: dict[str, Any]) -> str:
    """Return a vulnerability in a line."""
    names = ", ".join(dict.fromkeys([vulnerability["id"], *vulnerability.get("aliases", ())]))
    fixed = ", ".join(vulnerability["fix_versions"])
    return f"{names}; {f'fixed in {fixed}' if fixed else 'there is no fix yet'}"


def ask(path: str, service: str) -> str | None:
    """Return what pip-audit prints, or None where the service cannot be asked, after saying why.

    Raises:
        SystemExit: pip-audit is missing, or does not know these arguments.
    """
    command = [sys.executable, "-m", "pip_audit", f"--path={path}", f"--vulnerability-service={service}"]
    options = ["--format=json", "--progress-spinner=off", "--timeout=10"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        print(f"{service} has not answered within {PATIENCE} s")
        return None
    if done.stdout.startswith("{"):
        return done.stdout
    reason = (done.stderr.strip() or "it has said nothing").splitlines()[-1]
    if "No module named" in reason or done.returncode not in (0, 1):
        raise SystemExit(f"pip-audit cannot be run: {reason}")
    print(f"{service} cannot be asked: {reason}")
    return None


def warn(text: str) -> None:
    """Say something that is not to be overlooked: in a log, and on the page of a run on GitHub."""
    print("!" * 100, text, "!" * 100, sep="\n")
    if os.environ.get("GITHUB_ACTIONS"):
        print(f"::warning title=Dependencies were not audited::{text}")


def main() -> int:
    """Print what was found; 1 when there is a vulnerability."""
    (path,) = sys.argv[1:]
    reports: list[str] = []
    found = Findings()
    for service in SERVICES:
        report = ask(path, service)
        if report is not None:
            reports.append(report)
            found = findings(reports)
            if not found.unknown:
                break
    print("no known vulnerability:", ", ".join(sorted(found.clean)) or "of nothing")
    for line in found.vulnerable:
        print(line)
    if found.unknown or not reports:
        which = ", ".join(sorted(found.unknown)) or "anything"
        warn(f"NOT AUDITED: no advisory service could be asked about {which}. Run it where PyPI or OSV is reached.")
    return 1 if found.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
