"""The instance of a data folder: made once by any number of processes, and never another one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dataplatform.operations import instance as module
from dataplatform.operations.instance import InstanceError, ensure_instance, open_instance, require_agreement
from dataplatform.settings import CHECKOUT, Settings

_FILES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path / "data")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, as the working folder, whose `.env` chooses the data folder."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(CHECKOUT / name, folder / name)
    (folder / ".env").write_text(f"DATAPLATFORM_DATA_DIR={folder / 'data'}\n# mine")
    monkeypatch.setattr(module, "CHECKOUT", folder)
    monkeypatch.chdir(folder)
    return folder


def test_an_instance_is_made_whole_and_opens(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert instance.root_directory == str(settings.dagster_home)
        assert instance.get_runs_count() == 0
        assert not instance.telemetry_enabled
    assert [name for name in _FILES if not (settings.dagster_home / name).exists()] == []
    assert (settings.dagster_home / "workspace.yaml").exists()


def test_a_second_call_leaves_the_instance_as_it_is(settings: Settings) -> None:
    home = ensure_instance(settings)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    ensure_instance(settings)
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("lost", ["dagster.yaml", *_FILES])
def test_what_was_lost_of_an_instance_is_made_again(settings: Settings, lost: str) -> None:
    home = ensure_instance(settings)
    (home / lost).unlink()
    with open_instance(settings) as instance:
        assert instance.get_runs_count() == 0
    assert (home / lost).exists()


def test_an_instance_that_was_moved_opens_in_its_new_place(settings: Settings, tmp_path: Path) -> None:
    shutil.move(ensure_instance(settings), tmp_path / "moved" / "dagster")
    with open_instance(Settings.load(data_dir=tmp_path / "moved")) as instance:
        instance.get_runs_count()
    assert not settings.dagster_home.exists()


def test_processes_that_start_together_on_a_fresh_machine_make_one_sound_instance(settings: Settings) -> None:
    """Pain 20: SQLite's files are made under a lock."""
    code = "\n".join(
        [
            "import sys",
            "from dataplatform.operations.instance import open_instance",
            "from dataplatform.settings import Settings",
            "import dagster",
            "sys.stdin.read()",  # until all have got this far
            f"with open_instance(Settings.load(data_dir={str(settings.data_dir)!r})) as instance:",
            "    instance.add_dynamic_partitions('started', [sys.argv[1]])",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, env=environment) for name in "abc"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    with open_instance(settings) as instance:
        assert sorted(instance.get_dynamic_partitions("started")) == ["a", "b", "c"]
    for name in _FILES:
        connection = sqlite3.connect(settings.dagster_home / name)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_the_checkouts_env_file_gets_the_instance_and_keeps_its_other_lines(checkout: Path) -> None:
    home = ensure_instance(Settings.load())
    assert (checkout / ".env").read_text() == (
        f'DATAPLATFORM_DATA_DIR={checkout / "data"}\n# mine\nDAGSTER_HOME="{home}"\n'
    )
    ensure_instance(Settings.load())
    assert (checkout / ".env").read_text().count("DAGSTER_HOME") == 1


def test_a_data_folder_chosen_for_one_command_does_not_stay_in_the_env_file(checkout: Path, tmp_path: Path) -> None:
    ensure_instance(Settings.load(data_dir=tmp_path / "for-now"))
    assert "DAGSTER_HOME" not in (checkout / ".env").read_text()


def test_no_env_file_is_written_outside_the_checkout(settings: Settings, tmp_path: Path) -> None:
    ensure_instance(settings, tmp_path)
    assert not (tmp_path / ".env").exists()


def test_another_instance_in_the_environment_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/elsewhere/dagster")
    with pytest.raises(InstanceError) as caught:
        ensure_instance(settings, tmp_path)
    assert str(caught.value) == (
        f"DAGSTER_HOME=/elsewhere/dagster (environment) is not the instance of the data folder, "
        f"{settings.dagster_home}: unset it there, or choose the data folder it belongs to with DATAPLATFORM_DATA_DIR"
    )
    assert not settings.dagster_home.exists()


def test_another_instance_in_the_env_file_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DAGSTER_HOME=/elsewhere/dagster\n")
    with pytest.raises(InstanceError, match=r"^DAGSTER_HOME=/elsewhere/dagster \(.*/\.env\) is not the instance"):
        ensure_instance(settings, tmp_path)


def test_the_same_instance_by_another_path_agrees(settings: Settings, tmp_path: Path) -> None:
    settings.dagster_home.mkdir(parents=True)
    (tmp_path / "link").symlink_to(settings.data_dir)
    require_agreement(settings, tmp_path, {"DAGSTER_HOME": str(tmp_path / "link" / "dagster")})


def test_upstream_lets_an_env_file_override_the_environment(settings: Settings, tmp_path: Path) -> None:
    """The reason for all of the above. If this fails, the refusal can be narrower."""
    home = ensure_instance(settings)
    (tmp_path / ".env").write_text(f"DAGSTER_HOME={home}\n")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "DAGSTER_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "dagster", "instance", "info"]
    shown = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert f"$DAGSTER_HOME: {home}" in shown.stdout
