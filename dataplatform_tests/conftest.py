"""What holds for every test: its tier is the folder it lies in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent
_DISK = {"tmp_path", "tmp_path_factory", "tmpdir"}


def pytest_configure() -> None:
    """Ctrl-C works in what tests start, also where a build server runs them in the background with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test below component/ and service/, and refuses unit tests that ask for a disk."""
    for item in items:
        tier = item.path.relative_to(_ROOT).parts[0]
        if tier in {"component", "service"}:
            item.add_marker(tier)
        elif _DISK.intersection(getattr(item, "fixturenames", ())):
            raise pytest.UsageError(f"{item.nodeid} asks for a disk; move it below component/")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings, the instance or the `.env` of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("DATAPLATFORM_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
    monkeypatch.chdir(_ROOT)
