"""The tool that keeps Rust and strangers out of the run-time closure sees them."""

from __future__ import annotations

from pathlib import Path

import check_closure


def install(site: Path, name: str, *, generator: str = "bdist_wheel", binary: bytes | None = None) -> None:
    """Lay out an installed distribution as installers do."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: {generator}\n")
    files = [f"{info.name}/METADATA", f"{info.name}/WHEEL", f"{info.name}/RECORD"]
    if binary is not None:
        (site / f"{name}.so").write_bytes(binary)
        files.append(f"{name}.so")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def problems(site: Path, *exactly: str) -> list[str]:
    return check_closure.check(check_closure.installed([str(site)]), exactly)


def test_python_and_c_are_accepted(tmp_path: Path) -> None:
    install(tmp_path, "pure")
    install(tmp_path, "compiled", generator="setuptools (84.0)", binary=b"\x7fELF PyInit_compiled")
    assert problems(tmp_path) == []


def test_a_wheel_made_by_maturin_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "fast_json", generator="maturin (1.9.1)")
    assert problems(tmp_path) == ["fast_json 1.0 is a Rust extension: built by maturin (1.9.1)"]


def test_rust_in_a_wheel_made_by_setuptools_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "hashes", generator="setuptools (84.0)", binary=b"\x7fELF /rustc/0123abcd/library/core/src/str")
    assert problems(tmp_path) == ["hashes 1.0 is a Rust extension: hashes.so holds '/rustc/'"]


def test_the_closure_is_exact(tmp_path: Path) -> None:
    install(tmp_path, "lagoqueue_core")
    install(tmp_path, "msgspec")
    install(tmp_path, "pip")
    assert problems(tmp_path, "lagoqueue-core", "msgspec") == []
    assert problems(tmp_path, "lagoqueue-core") == ["msgspec is installed, but not in the closure that was promised"]
    assert problems(tmp_path, "lagoqueue-core", "msgspec", "click") == ["click is not installed"]
