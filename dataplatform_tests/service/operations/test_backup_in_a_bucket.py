"""The same backups in a bucket of a real S3 server: everything destroyed comes back, and only new files are copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplatform.operations.backups.manifest import manifest_keys
from dataplatform.operations.backups.place import open_place
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.command import call
from dataplatform_tests.s3 import BUCKET, KEY, SECRET, Bucket, running_bucket
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop, run

TARGET = f"s3://{BUCKET}/backups/shop"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with running_bucket(tmp_path / "s3") as made:
        monkeypatch.setenv("DATAPLATFORM_S3_ENDPOINT", made.settings["s3_endpoint"])
        yield made


def said(settings: Settings, *arguments: str, code: int = 0) -> str:
    result = call(settings, *arguments)
    assert result.exit_code == code, result.output
    return result.output


def copied(output: str) -> int:
    return int(output.split("copied and read back ")[1].split(maxsplit=1)[0])


def test_a_backup_in_a_bucket_is_incremental_and_brings_everything_back(bucket: Bucket, tmp_path: Path) -> None:
    settings = make_shop(tmp_path)
    run(settings)
    assert copied(said(settings, "backup", TARGET)) > 30
    assert copied(said(settings, "backup", TARGET)) == 0
    deliver(tmp_path, LATER_FILES)
    run(settings)
    before: dict[str, Any] = everything(Project.load(settings))
    bucket.gate.asked.clear()
    number = copied(said(settings, "backup", TARGET, "--keep", "1"))
    assert bucket.gate.count("PUT") == number + 1, "the new files, and the manifest"
    place = open_place(TARGET, Settings.load())
    assert len(manifest_keys(place)) == 1
    shutil.rmtree(settings.data_dir)
    said(settings, "restore", TARGET)
    run(settings)
    assert everything(Project.load(settings)) == before


def test_a_bucket_that_is_not_there_or_gives_no_answer_is_named_and_no_secret_is(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_shop(tmp_path)
    run(settings)
    outputs = [said(settings, "backup", "s3://nothing-here/backups", code=1)]
    assert "s3://nothing-here/backups" in outputs[0]
    outputs.append(said(settings, "restore", TARGET, code=1))
    assert "is no place of backups" in outputs[1]
    outputs.append(said(settings, "backup", f"s3://{KEY}:{SECRET}@{BUCKET}/x", code=1))
    assert "no place in a bucket such as s3://bucket/backups" in outputs[2]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}-wrong")
    outputs.append(said(settings, "backup", TARGET, code=1))
    assert "HTTP 403" in outputs[3]
    for output in outputs:
        assert SECRET not in output
        assert KEY not in output
