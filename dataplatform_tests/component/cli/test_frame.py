"""What holds for every command: help, wrong names, exit codes, and that it answers at once."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from dataplatform.cli import application, reading
from dataplatform.settings import CHECKOUT

SLOW = ("dagster", "duckdb", "ibis", "pandas", "pyarrow", "great_expectations", "sqlalchemy", "rich")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(application(), list(arguments), catch_exceptions=False)


def commands(group: typer.Typer) -> list[list[str]]:
    """The path of every command, such as `["quarantine", "list"]`."""
    found = [[each.name or str(each.callback.__name__)] for each in group.registered_commands if each.callback]
    for each in group.registered_groups:
        assert each.typer_instance is not None
        found += [[str(each.name), *path] for path in commands(each.typer_instance)]
    return found


@pytest.mark.parametrize("path", commands(application()), ids=" ".join)
def test_the_help_of_every_command_has_examples(path: list[str]) -> None:
    text = call(*path, "--help").stdout
    assert "Examples:" in text
    assert f"dataplatform {' '.join(path)}" in text


def test_a_wrong_command_gets_one_line_with_the_nearest_names() -> None:
    result = call("describ")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "no command called 'describ'; did you mean describe, doctor, restore?\n"


def test_a_wrong_option_gets_one_line_with_the_nearest_names() -> None:
    result = call("--data-dri", "x", "tables")
    assert result.exit_code == 2
    assert result.stderr == "No such option '--data-dri'. Did you mean '--data-dir'?\n"


def test_a_setting_behind_the_command_is_told_its_place() -> None:
    result = call("tables", "--data-dir", "x")
    assert result.exit_code == 2
    assert result.stderr == "--data-dir stands before the command: dataplatform --data-dir … COMMAND\n"


def test_a_wrong_setting_says_where_it_came_from_and_what_is_expected() -> None:
    result = call("--start-date", "9.12.2011", "settings")
    assert result.exit_code == 2
    assert result.stderr == ("DATAPLATFORM_START_DATE=9.12.2011 (argument): not a day; write one such as 2011-12-09\n")


def test_a_missing_argument_is_one_line() -> None:
    assert call("describe").stderr == "Missing argument 'TABLE'.\n"


def test_no_command_shows_the_help() -> None:
    result = call()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_problems_of_contracts_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "raw_a_b.yaml").write_text("x: [", encoding="utf-8")
    result = call("--tables", str(tmp_path), "tables")
    assert result.exit_code == 1
    assert "raw_a_b.yaml: line 2, column 1: not readable as YAML" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_the_machine_refuses_is_one_line_with_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/lake")

    monkeypatch.setattr(reading, "load_settings", full)
    result = call("settings")
    assert (result.exit_code, result.stderr) == (1, "No space left on device: /data/lake\n")


def test_an_error_nobody_knows_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(reading, "load_settings", broken)
    with pytest.raises(ZeroDivisionError):
        call("settings")


def test_an_interrupted_command_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "load_settings", interrupted)
    result = call("settings")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("arguments", [["--help"], ["tables"], ["run", "--help"]], ids=" ".join)
def test_nothing_slow_is_imported_by(arguments: list[str], tmp_path: Path) -> None:
    """Pain 14: the same of commands."""
    script = (
        "import sys, json, atexit\n"
        "loaded = lambda: sorted({name.partition('.')[0] for name in sys.modules})\n"
        "atexit.register(lambda: print(json.dumps(loaded()), file=sys.stderr))\n"
        "from dataplatform.cli import main\n"
        f"main({['--tables', str(tmp_path), '--data-dir', str(tmp_path), *arguments]!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "dataplatform" in loaded
    assert loaded.isdisjoint(SLOW)
