"""What the tool makes of what pip-audit prints; the reports are its own, of 2.10, cut."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

import audit

pytestmark = pytest.mark.security

VULNERABLE: dict[str, Any] = {
    "name": "PyMySQL",
    "version": "1.1.0",
    "vulns": [
        {
            "id": "CVE-2024-36039",
            "fix_versions": ["1.1.1"],
            "aliases": ["GHSA-v9hf-5j83-6xpp"],
            "description": "SQL injection",
        }
    ],
}
CLEAN: dict[str, Any] = {"name": "click", "version": "8.5.1", "vulns": []}
SKIPPED: dict[str, Any] = {
    "name": "click",
    "skip_reason": "Dependency not found on PyPI and could not be audited: click (8.5.1)",
}
OURS: dict[str, Any] = {"name": "lagoqueue-core", "skip_reason": "Dependency not found on PyPI"}


def report(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def run(monkeypatch: pytest.MonkeyPatch, **answers: str | None) -> int:
    monkeypatch.setattr(audit, "ask", lambda path, service: answers[service])
    monkeypatch.setattr(sys, "argv", ["audit.py", "site-packages"])
    return audit.main()


def test_a_vulnerability_fails_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, pypi=report(VULNERABLE, CLEAN, OURS)) == 1
    says = capsys.readouterr().out
    assert "pymysql 1.1.0: CVE-2024-36039, GHSA-v9hf-5j83-6xpp; fixed in 1.1.1" in says
    assert "no known vulnerability: click 8.5.1" in says
    assert "NOT AUDITED" not in says


def test_what_one_service_skips_the_next_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, pypi=report(SKIPPED), osv=report(CLEAN)) == 0
    assert "NOT AUDITED" not in capsys.readouterr().out
    assert run(monkeypatch, pypi=report(SKIPPED), osv=report({**VULNERABLE, "name": "click"})) == 1
    assert run(monkeypatch, pypi=None, osv=report(VULNERABLE)) == 1


@pytest.mark.parametrize("answers", [{"pypi": report(SKIPPED), "osv": None}, {"pypi": None, "osv": None}])
def test_that_nobody_could_be_asked_is_said_and_is_no_failure(
    answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run(monkeypatch, **answers) == 0
    says = capsys.readouterr().out
    assert "NOT AUDITED" in says
    assert "::warning " in says


def test_a_vulnerability_counts_whatever_else_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, pypi=report(VULNERABLE, SKIPPED), osv=None) == 1


def test_an_audit_that_cannot_begin_is_a_failure(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'python: No module named pip_audit' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(SystemExit, match="No module named pip_audit"):
        audit.ask("site-packages", "pypi")
