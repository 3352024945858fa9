"""Listing and reading a landing folder on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataplatform.errors import TransientError
from dataplatform.sources import make_source
from dataplatform.sources.base import FileRefusedError
from dataplatform.sources.files import LocalFiles
from dataplatform_tests.deliveries import DAY, csv_bytes, landing_contract


def test_a_disk_that_fails_when_it_is_listed_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(_path: Path) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(TransientError, match=r"the landing folder .*sales cannot be listed: .*Input/output error"):
        LocalFiles(tmp_path).list("sales")


def test_a_correction_of_the_same_size_and_time_changes_the_signature(tmp_path: Path) -> None:
    (tmp_path / "sales").mkdir()
    file = tmp_path / "sales" / f"{DAY}.csv"
    source = make_source(landing_contract(), landing=tmp_path)
    file.write_bytes(csv_bytes(("A1", "MUG", "2.55")))
    os.utime(file, ns=(0, 0))
    before = source.offers(DAY, DAY)[DAY]
    digest = source.fingerprint(before)
    file.write_bytes(csv_bytes(("A1", "MUG", "2.56")))
    os.utime(file, ns=(0, 0))
    after = source.offers(DAY, DAY)[DAY]
    assert before.signature != after.signature
    assert digest != source.fingerprint(after)


def test_a_touched_file_changes_the_signature_and_not_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "sales").mkdir()
    file = tmp_path / "sales" / f"{DAY}.csv"
    file.write_bytes(csv_bytes(("A1", "MUG", "2.55")))
    source = make_source(landing_contract(), landing=tmp_path)
    before = source.deliver(DAY)
    os.utime(file, ns=(0, 0))
    after = source.deliver(DAY)
    assert before.signature != after.signature
    assert before.fingerprint == after.fingerprint


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("x")
    # a file without rights is readable to root, who runs tests in many containers
    monkeypatch.setattr(Path, "read_bytes", _raise(PermissionError(13, "Permission denied")))
    with pytest.raises(FileRefusedError) as caught:
        LocalFiles(tmp_path).read("a.csv")
    assert str(caught.value) == (
        "unreadable: a.csv: may not be read: Permission denied; give the platform's user the right to"
    )


def test_a_disk_that_fails_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.setattr(Path, "read_bytes", _raise(OSError(5, "Input/output error")))
    with pytest.raises(TransientError, match=r"a\.csv: cannot be read now: Input/output error; run again"):
        LocalFiles(tmp_path).read("a.csv")


def test_a_name_that_climbs_out_of_the_landing_is_refused(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (tmp_path / "secret").write_text("x")
    with pytest.raises(FileRefusedError, match=r"^outside_landing: \.\./secret: leads out of the landing folder"):
        LocalFiles(landing).read("../secret")


def _raise(error: OSError) -> object:
    def read_bytes(_path: Path) -> bytes:
        raise error

    return read_bytes
