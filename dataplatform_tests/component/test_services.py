"""Where tests get their services from, and what they say when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dataplatform_tests.services import SCRIPT, require


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which none of them is installed, and which can get none: the shell's own tools are all it has."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cp", "grep", "id", "mkdir", "mv", "rm", "tail"):
        (tools / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("CI", "TEST_VERSITYGW", "TEST_CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    return tools


def _program(path: Path, prints: str = "Version  : v1.8.0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def _get() -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", SCRIPT], capture_output=True, text=True, check=True)


def test_without_a_service_its_tests_are_not_run_and_say_why() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"not run: versitygw is not installed: `sh \.ci/services` was not"):
        require("versitygw")


def test_on_a_build_server_a_service_that_cannot_be_had_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"not run: chromium is not installed: .* name it: TEST_CHROMIUM="):
        require("chromium")


def test_what_could_not_be_got_says_so_once_and_to_every_test() -> None:
    ended = _get()
    assert "versitygw is not installed: Go, which builds it, is not installed; install it, or name it" in ended.stderr
    with pytest.raises(pytest.skip.Exception, match="Go, which builds it, is not installed"):
        require("versitygw")


def test_what_a_variable_names_wins(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(bare / "versitygw")
    named = _program(tmp_path / "mine", prints="anything")
    monkeypatch.setenv("TEST_VERSITYGW", str(named))
    assert require("versitygw") == named


def test_a_variable_that_names_no_program_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_CHROMIUM", "/nowhere/chromium")
    with pytest.raises(pytest.skip.Exception, match="TEST_CHROMIUM=/nowhere/chromium is no program"):
        require("chromium")
    assert "TEST_CHROMIUM=/nowhere/chromium is no program" in _get().stderr


@pytest.mark.parametrize("version", ["v1.8.0", "v1.10.2", "v2.0.0"])
def test_an_installed_one_is_taken_and_nothing_is_got(bare: Path, version: str) -> None:
    program = _program(bare / "versitygw", prints=f"Version  : {version}")
    assert "versitygw" not in _get().stderr
    assert require("versitygw") == program


@pytest.mark.parametrize("version", ["v1.7.9", "v0.1.8", "v1.1.8"])
def test_an_installed_one_that_is_too_old_is_passed_over(bare: Path, version: str) -> None:
    _program(bare / "versitygw", prints=f"Version  : {version}")
    with pytest.raises(pytest.skip.Exception, match="versitygw is not installed"):
        require("versitygw")


def test_what_was_got_is_kept_outside_the_checkout_and_not_got_again(bare: Path, tmp_path: Path) -> None:
    """A program that stands in for Go writes what Go would have built, and counts how often it is asked."""
    count, built = tmp_path / "count", _program(tmp_path / "built")
    go = bare / "go"
    go.write_text(f'#!/bin/sh\necho x >> {count}\nmkdir -p "$GOBIN"\ncp {built} "$GOBIN/versitygw"\n', encoding="utf-8")
    go.chmod(0o755)
    _get()
    _get()
    assert count.read_text(encoding="utf-8") == "x\n"
    assert require("versitygw") == Path(os.environ["XDG_CACHE_HOME"]) / "dataplatform-services" / "versitygw-v1.8.0"
