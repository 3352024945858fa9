"""A landing on this machine's disk and one in a real bucket, behind one interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from dataplatform.settings import Settings
from dataplatform.sources import open_landing
from dataplatform.sources.files import Files
from dataplatform_tests.s3 import Bucket, running_bucket


class Landing(Protocol):
    """Where a test delivers: files by their name below the landing."""

    @property
    def settings(self) -> Mapping[str, Any]: ...

    def put(self, files: Mapping[str, bytes]) -> None: ...

    def delete(self, *names: str) -> None: ...


class Folder:
    """A landing on this machine's disk."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._root = root

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"landing": self._root}

    def put(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            (self._root / name).parent.mkdir(parents=True, exist_ok=True)
            (self._root / name).write_bytes(data)

    def delete(self, *names: str) -> None:
        for name in names:
            (self._root / name).unlink()


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    with running_bucket(tmp_path / "s3") as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def landing(request: pytest.FixtureRequest, tmp_path: Path) -> Landing:
    found: Landing = Folder(tmp_path / "landing") if request.param == "folder" else request.getfixturevalue("bucket")
    return found


def files_of(landing: Landing, tmp_path: Path) -> Files:
    """The landing as a project opens it."""
    return open_landing(Settings.load(data_dir=tmp_path / "data", **landing.settings))
