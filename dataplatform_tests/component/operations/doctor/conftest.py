"""A shop that was made once, and a copy of it for each test to do harm to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.doctor.examination import LOOKS, Examination, examine
from dataplatform.settings import Settings
from dataplatform_tests import small_shop


@pytest.fixture(scope="session")
def made_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    small_shop.run(small_shop.make_shop(folder))
    return folder


@pytest.fixture
def settings(made_shop: Path, tmp_path: Path) -> Settings:
    """Of a copy of the shop. `dagster.yaml` names the first folder, so that a command makes the copy's its own."""
    shutil.copytree(made_shop, tmp_path, dirs_exist_ok=True, symlinks=True)
    text = (tmp_path / "data/dagster/dagster.yaml").read_text()
    (tmp_path / "data/dagster/dagster.yaml").write_text(text.replace(str(made_shop), str(tmp_path)))
    return small_shop.settings_of(tmp_path)


def kinds(settings: Settings, *names: str, fix: bool = False) -> list[str]:
    """What some looks (all of them when none is named) find."""
    return [finding.kind.value for finding in look(settings, *names, fix=fix).findings]


def look(settings: Settings | None, *names: str, fix: bool = False) -> Examination:
    chosen = {name: LOOKS[name] for name in names} if names else LOOKS
    return examine(settings, build_definitions, looks=chosen, fix=fix)
