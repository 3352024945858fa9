"""The repository keeps its own rules: dependencies, locks, documents, sizes, and what `make` does without a network."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dataplatform.settings import CHECKOUT, PREFIX, Settings

LONGEST_FILE, LONGEST_FUNCTION = 400, 60
_COMMANDS_ONLY = {"dagster-webserver", "dagster-dg-cli"}
"""Direct dependencies for the commands they bring; no module of ours imports them."""
_OF_TABLES = {"__future__", "collections", "datetime", "functools", "ibis", "itertools", "operator", "pandas", "typing"}
"""What a table's file may import: its language, and what only arranges values. No clock, file or network."""
_BINDING = re.compile(r"\b(A?GPL|General Public|SSPL|BUSL|Business Source|Commons Clause)\b", re.IGNORECASE)


def _project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def _direct() -> dict[str, Requirement]:
    found = [Requirement(text) for text in _project()["project"]["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def _locked(name: str) -> dict[str, str]:
    """Package -> version of a lock file; where platforms differ, one of them."""
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", (CHECKOUT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pinned}


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_readme_gives_a_reason_for_every_dependency_and_for_nothing_else() -> None:
    section = (CHECKOUT / "README.md").read_text().split("## Dependencies")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w-]+) \| (.+) \|$", section, re.MULTILINE)
    assert {name for name, reason in rows if reason != "why"} == set(_direct())


def test_every_import_is_a_declared_dependency_and_every_dependency_is_imported() -> None:
    owners = metadata.packages_distributions()
    imported = {name.split(".")[0] for path in _sources("dataplatform") for name in _imports(path)}
    third_party = imported - set(sys.stdlib_module_names) - {"dataplatform"}
    assert {canonicalize_name(owners[name][0]) for name in third_party} == set(_direct()) - _COMMANDS_ONLY


def test_tables_know_tables_and_columns_and_nothing_else() -> None:
    """The import linter does not see them: their folders are no packages."""
    strangers = {
        path.relative_to(CHECKOUT).as_posix(): name
        for path in _sources("dataplatform/tables")
        for name in _imports(path)
        if name.split(".")[0] not in _OF_TABLES and not name.startswith("dataplatform.tables")
    }
    assert strangers == {}


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_a_lock_has_hashes_for_everything_and_names_no_registry(lock: str) -> None:
    text = (CHECKOUT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_is_what_the_project_asks_for() -> None:
    locked = _locked("requirements.txt")
    wrong = [str(asked) for name, asked in _direct().items() if not asked.specifier.contains(locked.get(name, "0"))]
    assert wrong == [], "run `make lock`"


def test_tests_run_on_the_versions_that_ship() -> None:
    shipped, tested = _locked("requirements.txt"), _locked("requirements-dev.txt")
    assert {name: tested.get(name) for name in shipped} == shipped


def test_no_dependency_has_a_licence_that_binds_what_is_built_with_it() -> None:
    bound = {}
    for name in _locked("requirements.txt"):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # for another system
        classifiers = [text for text in about.get_all("Classifier") or [] if text.startswith("License")]
        licence = " ".join([str(about.json.get("license_expression", "")), *classifiers])
        if _BINDING.search(licence):
            bound[name] = licence
    assert bound == {}


def test_the_readme_names_every_setting_with_its_default() -> None:
    section = (CHECKOUT / "README.md").read_text().split("## Settings")[1].split("\n## ")[0]
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.+?) \|", section, re.MULTILINE))
    assert {name.lower() for name in rows} == set(Settings.model_fields) - {"tables"}
    for name in ("profile", "start_date", "end_date", "business_zone", "memory_limit"):
        assert rows[name.upper()] == f"`{Settings.model_fields[name].default}`"


def _documents() -> list[Path]:
    return [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", _documents(), ids=lambda path: path.relative_to(CHECKOUT).as_posix())
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


def _too_long(path: Path) -> Iterator[str]:
    text, name = path.read_text(), path.relative_to(CHECKOUT).as_posix()
    if text.count("\n") > LONGEST_FILE:
        yield f"{name} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{name}:{node.lineno} {node.name} has {lines} lines"


def test_files_and_functions_stay_small_enough_to_read() -> None:
    assert [found for path in _sources("dataplatform", "bench") for found in _too_long(path)] == []


def _make(folder: Path, *arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    for made in (".venv/bin", "data/lake/raw", "data/landing/sales"):
        (tmp_path / made).mkdir(parents=True)
    return tmp_path


def test_make_clean_says_what_it_would_delete_and_deletes_nothing(checkout: Path) -> None:
    said = _make(checkout, "clean")
    assert said.splitlines() == [
        "would delete .venv",
        "would delete data/lake",
        "nothing was deleted; make clean CONFIRM=yes does it",
    ]
    assert (checkout / ".venv").exists()


def test_make_clean_never_deletes_what_was_delivered(checkout: Path) -> None:
    assert _make(checkout, "clean", "CONFIRM=yes").splitlines() == ["deleted .venv", "deleted data/lake"]
    assert sorted(path.name for path in (checkout / "data").iterdir()) == ["landing"]


def test_make_alone_says_what_there_is(checkout: Path) -> None:
    assert [line.split()[1] for line in _make(checkout).splitlines()] == [
        "run", "ui", "test", "lint", "bench", "soak", "lock", "clean",
    ]  # fmt: skip


def test_a_python_that_is_too_old_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = ["sh", str(CHECKOUT / ".ci" / "make-venv"), str(tmp_path / "venv")]
    ended = subprocess.run(
        command, env={"PYTHON": str(old), "PATH": "/bin"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Python 3.11 or later is needed, and none was found under: {old};")
    assert not (tmp_path / "venv").exists()
