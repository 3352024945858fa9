"""The `.env` of the working folder as one tier of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplatform.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_file_goes_before_the_default(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATAPLATFORM_END_DATE=\nDAGSTER_HOME=/elsewhere\n")
    settings = Settings.load()
    assert (settings.end_date, settings.origin("end_date")) == (None, ".env")


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("DATAPLATFORM_MEMORY_LIMIT=2GB\n")
    monkeypatch.setenv("DATAPLATFORM_MEMORY_LIMIT", "3GB")
    settings = Settings.load()
    assert (settings.memory_limit, settings.origin("memory_limit")) == ("3GB", "environment")


def test_a_wrong_line_is_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATAPLATFORM_START_DATE=yesterday\n")
    with pytest.raises(SettingsError, match=r"^DATAPLATFORM_START_DATE=yesterday \(\.env\): not a day"):
        Settings.load()


def test_a_link_into_what_the_platform_makes_is_no_place_for_deliveries(tmp_path: Path) -> None:
    (tmp_path / "data" / "lake").mkdir(parents=True)
    (tmp_path / "drops").symlink_to(tmp_path / "data" / "lake")
    with pytest.raises(SettingsError, match="which the platform makes"):
        Settings.load(data_dir=tmp_path / "data", landing=tmp_path / "drops")
