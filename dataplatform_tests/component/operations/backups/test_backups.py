"""Everything is destroyed and put back, equal cell by cell; what is damaged, missing or in use is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataplatform.contracts.catalog import load_catalog
from dataplatform.lake.holds import Hold
from dataplatform.lake.versions import versions
from dataplatform.operations.backups import make, restore
from dataplatform.operations.backups.make import back_up
from dataplatform.operations.backups.manifest import manifest_keys, read_manifest
from dataplatform.operations.backups.place import FILES, MARKER, BackupError, DamagedError, Place, digest_of, open_place
from dataplatform.operations.backups.restore import JOURNAL, choose_backup
from dataplatform.operations.instance import open_instance
from dataplatform.operations.lock import LockedError, run_lock
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests.command import call
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop, run, settings_of

ORDERS = dg.AssetKey(["cleaned", "orders"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The shop after its first run and one backup of it (`<folder>/backups`), and all that the run left."""
    folder = tmp_path_factory.mktemp("shop")
    settings = make_shop(folder)
    run(settings)
    backed_up(settings)
    return folder, everything(Project.load(settings))


@pytest.fixture
def settings(made: tuple[Path, dict[str, Any]], tmp_path: Path) -> Settings:
    shutil.copytree(made[0], tmp_path / "shop", symlinks=True)
    return settings_of(tmp_path / "shop")


def target(settings: Settings) -> Path:
    return settings.data_dir.parent / "backups"


def backed_up(settings: Settings, **options: Any) -> make.Copied:
    return back_up(settings, load_catalog(settings.tables_dir), str(target(settings)), **options)


def said(settings: Settings, *arguments: str, code: int = 0) -> str:
    result = call(settings, *arguments)
    assert result.exit_code == code, result.output
    return result.output


def put_back(settings: Settings, *arguments: str, code: int = 0) -> str:
    return said(settings, "restore", str(target(settings)), *arguments, code=code)


def materialized(settings: Settings) -> set[str]:
    with open_instance(settings) as instance:
        return set(instance.get_materialized_partitions(ORDERS))


def stored(settings: Settings) -> list[Path]:
    return [path for path in (target(settings) / FILES).rglob("*") if path.is_file()]


def stored_as(settings: Settings, beginning: str) -> tuple[str, Path]:
    """A file of the newest backup by the beginning of its path: that path, and where it lies."""
    place = open_place(str(target(settings)), settings)
    manifest = read_manifest(place, manifest_keys(place)[-1])
    entry = next(entry for entry in manifest.entries if entry.path.startswith(beginning) and entry.size > 100)
    return entry.path, target(settings) / FILES / entry.digest[:2] / entry.digest


# everything is lost


def test_everything_is_destroyed_and_put_back_equal_cell_by_cell(
    settings: Settings, made: tuple[Path, dict[str, Any]]
) -> None:
    partitions = materialized(settings)
    shutil.rmtree(settings.data_dir)
    output = put_back(settings)
    assert "nothing to do: everything that can be made is up to date" in output
    project = Project.load(settings)
    assert {**everything(project), "warehouse": None} == {**made[1], "warehouse": None}
    assert materialized(settings) == partitions
    with open_instance(settings) as instance:
        assert reconcile_events(project, instance) == 0
        assert instance.get_runs_count() > 0
    assert " slices published" not in run(settings)
    assert everything(project) == made[1], "the warehouse too, after a run"


def test_holds_records_versions_and_rows_that_wait_travel_with_a_backup(settings: Settings) -> None:
    orders = Project.load(settings).lake.table(load_catalog(settings.tables_dir).get("orders"))
    orders.place_hold(Hold("look", "2011-01-01T00:00:00+00:00"))
    waiting = settings.lake_dir / "operations" / "waits" / "_pending" / "1-a.arrow"
    waiting.parent.mkdir(parents=True)
    waiting.write_bytes(b"rows")
    before, known = orders.open(), versions(orders)
    backed_up(settings)
    shutil.rmtree(settings.data_dir)
    put_back(settings)
    assert orders.open().hold == before.hold
    assert orders.open().state == before.state
    assert versions(orders) == known
    assert waiting.read_bytes() == b"rows"


def test_what_was_published_after_the_backup_is_made_again_and_nothing_else(settings: Settings) -> None:
    deliver(settings.data_dir.parent, LATER_FILES)
    run(settings)
    later = everything(Project.load(settings))
    output = put_back(settings, "--yes")
    assert "raw.raw_shop_orders       3  2011-01-03..2011-01-05" in output or "delivery changed" in output
    run(settings)
    assert everything(Project.load(settings)) == later


def test_over_an_existing_folder_it_is_dry_until_asked_for_and_moves_aside_what_was_there(settings: Settings) -> None:
    mark = settings.lake_dir / "cleaned" / "mine"
    mark.write_text("precious")
    dry = put_back(settings)
    assert f"{settings.lake_dir} would be replaced, and moved aside" in dry
    assert dry.endswith("nothing was done; do it with --yes\n")
    assert mark.exists()
    done = put_back(settings, "--yes")
    (aside,) = settings.data_dir.glob("replaced-*")
    assert f"what was there lies in {aside}; delete it when nobody misses it" in done
    assert (aside / "lake" / "cleaned" / "mine").read_text() == "precious"
    assert not mark.exists()
    assert not list(settings.data_dir.glob("restoring*"))


def test_a_setting_that_differs_from_the_backups_is_named(settings: Settings) -> None:
    other = Settings.load(
        data_dir=settings.data_dir, landing=settings.landing, tables=settings.tables_dir,
        start_date=settings.start_date, end_date="2011-01-05",
    )  # fmt: skip
    assert "setting end_date was 2011-01-06 and is 2011-01-05" in put_back(other)


def test_runs_that_were_at_work_when_the_backup_was_made_do_not_seem_to_be_for_ever(settings: Settings) -> None:
    with open_instance(settings) as instance:
        instance.add_run(dg.DagsterRun(job_name="__ASSET_JOB", run_id=dg_run_id(), status=dg.DagsterRunStatus.STARTED))
    backed_up(settings)
    output = put_back(settings, "--yes")
    assert "1 run had not ended when the backup was made, and count as failed" in output
    with open_instance(settings) as instance:
        run_found = instance.get_run_by_id(dg_run_id())
    assert run_found is not None
    assert run_found.status is dg.DagsterRunStatus.FAILURE


def dg_run_id() -> str:
    return "00000000-0000-4000-8000-000000000001"


# only what is new


def test_a_second_backup_copies_only_new_files_and_reads_no_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(target(settings))
    first = backed_up(settings)
    assert (first.new_files, first.new_bytes) == (
        len(stored(settings)),
        sum(p.stat().st_size for p in stored(settings)),
    )
    lake_reads: list[str] = []

    def watched(content: bytes | Path) -> str:
        if isinstance(content, Path):
            lake_reads.append(content.name)
        return digest_of(content)

    monkeypatch.setattr(make, "digest_of", watched)
    assert backed_up(settings).new_files == 0
    assert lake_reads == []
    before = {path.name for path in stored(settings)}
    deliver(settings.data_dir.parent, LATER_FILES)
    run(settings)
    later = backed_up(settings)
    assert later.new_files == len({path.name for path in stored(settings)} - before) > 0
    assert len(later.manifest.entries) > later.new_files + len(first.manifest.entries) / 2


def test_older_backups_are_forgotten_with_the_files_that_no_other_has(settings: Settings) -> None:
    deliver(settings.data_dir.parent, LATER_FILES)
    run(settings)
    backed_up(settings)
    before = len(stored(settings))
    output = said(settings, "backup", str(target(settings)), "--keep", "1")
    assert "forgot 2 older backups" in output
    assert len(stored(settings)) < before
    place = open_place(str(target(settings)), settings)
    (key,) = manifest_keys(place)
    assert {entry.digest for entry in read_manifest(place, key).entries} == {path.name for path in stored(settings)}
    shutil.rmtree(settings.data_dir)
    put_back(settings)


def test_nothing_is_forgotten_while_a_backup_cannot_be_read(settings: Settings) -> None:
    backed_up(settings)
    manifest = max((target(settings) / "backups").iterdir())
    manifest.write_bytes(manifest.read_bytes()[:-1])
    assert "warning: older backups were not forgotten" in said(settings, "backup", str(target(settings)), "--keep", "2")
    assert len(list((target(settings) / "backups").iterdir())) == 3


def test_files_that_were_damaged_in_the_place_are_copied_anew(settings: Settings) -> None:
    _, short = stored_as(settings, "lake/")
    _, flipped = stored_as(settings, "dagster/history/runs/")
    short.write_bytes(short.read_bytes()[:-1])
    flipped.write_bytes(bytes(flipped.stat().st_size))
    assert "warning" not in said(settings, "backup", str(target(settings))), "a size that differs is seen at once"
    assert "1 file there had been damaged" in said(settings, "backup", str(target(settings)), "--verify")
    shutil.rmtree(settings.data_dir)
    put_back(settings)


def test_a_place_that_does_not_keep_what_is_written_there_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(target(settings))
    monkeypatch.setattr(Place, "fetch", lambda *_: False)
    with pytest.raises(DamagedError, match=r"backups does not keep what is written there \(dagster/"):
        backed_up(settings)
    assert manifest_keys(open_place(str(target(settings)), settings)) == []


# which backup


def test_a_time_chooses_the_newest_backup_of_then_or_before(
    settings: Settings, made: tuple[Path, dict[str, Any]]
) -> None:
    deliver(settings.data_dir.parent, LATER_FILES)
    run(settings)
    second = backed_up(settings).manifest.pinned_at
    just_before = (second - timedelta(microseconds=1)).isoformat()
    assert "(1 other backup there)" in put_back(settings)
    put_back(settings, "--yes", "--to", just_before)
    assert everything(Project.load(settings))["rows"] == made[1]["rows"]
    chosen = choose_backup(settings, str(target(settings)), datetime.now(UTC).date().isoformat())
    assert chosen.manifest.pinned_at == second, "a day means its end"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("1999-12-31", "holds no backup of that time or before; its oldest is of 2"),
        ("2011-01-01T03:00", "2011-01-01T03:00 has no zone; write 2011-01-01T03:00Z for UTC"),
        ("yesterday", "--to yesterday: not a time; write a day, or an instant with its zone"),
    ],
)
def test_a_time_that_chooses_nothing_is_refused(settings: Settings, to: str, message: str) -> None:
    assert message in put_back(settings, "--to", to, code=1)


# what is refused


def test_a_damaged_or_missing_file_is_named_and_nothing_is_changed(
    settings: Settings, made: tuple[Path, dict[str, Any]]
) -> None:
    path, damaged = stored_as(settings, "lake/cleaned/orders/business_date")
    damaged.write_bytes(bytes(damaged.stat().st_size))
    missing_path, missing = stored_as(settings, "dagster/history/runs/")
    missing.unlink()
    output = put_back(settings, "--yes", code=1)
    assert "2 files of the backup of 2" in output
    assert f"{path} ({FILES}/" in output
    assert missing_path in output
    assert "nothing was changed: choose another backup with --to" in output
    assert everything(Project.load(settings)) == made[1]


def test_a_damaged_manifest_is_named(settings: Settings) -> None:
    manifest = next((target(settings) / "backups").iterdir())
    manifest.write_bytes(manifest.read_bytes().replace(b'"cleaned/orders":1', b'"cleaned/orders":9'))
    assert f"the manifest backups/{manifest.name} is damaged; choose another backup" in put_back(settings, code=1)


def test_a_backup_of_a_newer_format_is_refused(settings: Settings) -> None:
    marker = target(settings) / MARKER
    marker.write_text(json.dumps({"format": 2}))
    for command in (("restore",), ("backup",)):
        output = said(settings, *command, str(target(settings)), code=1)
        assert f"{MARKER} was written by a newer version of the platform; use that version" in output
    marker.write_text("{")
    assert f"{MARKER} is damaged" in put_back(settings, code=1)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("data/mine", "lies in the data folder"),
        ("data", "lies in the data folder"),
        ("landing", "holds other files, and no backups; choose an empty folder or prefix"),
        ("landing/orders/2011-01-01.csv", "is a file; write the folder of the backups"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused(settings: Settings, place: str, message: str) -> None:
    assert message in said(settings, "backup", str(settings.data_dir.parent / place), code=1)


def test_a_source_that_is_no_backup_is_refused(settings: Settings) -> None:
    assert "is no place of backups; `dataplatform backup" in said(settings, "restore", str(settings.landing), code=1)
    gone = settings.data_dir.parent / "gone"
    assert "is not there; write the folder that `dataplatform backup` was given" in said(
        settings, "restore", str(gone), code=1
    )
    assert not gone.exists()


def test_a_place_without_a_finished_backup_is_refused(settings: Settings) -> None:
    shutil.rmtree(target(settings) / "backups")
    assert "holds no finished backup; make one with" in put_back(settings, code=1)


def test_a_disk_without_room_is_refused_before_anything_is_copied(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(settings.data_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(BackupError, match=r"MB are needed and 0\.0 MB are free; make room there"):
        restore.restore(settings, choose_backup(settings, str(target(settings)), None))
    shutil.rmtree(target(settings))
    with pytest.raises(BackupError, match=r"MB are needed and 0\.0 MB are free; make room there"):
        backed_up(settings)
    assert not stored(settings)


def test_a_data_folder_without_a_lake_has_nothing_to_back_up(tmp_path: Path) -> None:
    assert "there is nothing to back up" in said(make_shop(tmp_path), "backup", str(tmp_path / "there"), code=1)


def test_one_backup_at_a_time_and_no_restore_while_a_run_is_at_work(settings: Settings) -> None:
    with run_lock(settings.data_dir, name=make.LOCK), pytest.raises(LockedError, match=r"process \d+ is at work"):
        backed_up(settings)
    with run_lock(settings.data_dir):
        backed_up(settings)
        assert "is at work in" in put_back(settings, "--yes", code=75)


def test_a_restore_under_a_daemon_at_work_is_refused(settings: Settings) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    with open_instance(settings) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(datetime.now(UTC).timestamp(), "SENSOR", "id"))
    assert "Dagster's daemon is at work on" in put_back(settings, "--yes", code=1)


def test_an_instance_that_cannot_be_read_does_not_keep_a_restore_from_replacing_it(settings: Settings) -> None:
    (settings.dagster_home / "history" / "runs.db").write_bytes(b"nonsense" * 1000)
    put_back(settings, "--yes")
    assert materialized(settings)


# interrupted


@pytest.mark.parametrize("renames", range(4))
def test_a_restore_that_is_killed_between_two_renames_is_finished_by_the_next_command(
    settings: Settings, made: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    done: list[Path] = []
    rename = Path.rename

    def killed(self: Path, other: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        restore.restore(settings, choose_backup(settings, str(target(settings)), None))
    monkeypatch.undo()
    assert (settings.data_dir / JOURNAL).exists()
    assert "finished the restore that was interrupted" in run(settings)
    assert everything(Project.load(settings)) == made[1]


def test_a_restore_that_was_interrupted_while_it_read_goes_on_where_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    fetch: Callable[..., bool] = Place.fetch

    def watched(self: Place, digest: str, into: Path | None) -> bool:
        if stopping and len(fetched) == 20:
            raise KeyboardInterrupt
        fetched.append(digest)
        return fetch(self, digest, into)

    stopping = True
    monkeypatch.setattr(Place, "fetch", watched)
    chosen = choose_backup(settings, str(target(settings)), None)
    with pytest.raises(KeyboardInterrupt):
        restore.restore(settings, chosen)
    stopping = False
    fetched.clear()
    restore.restore(settings, chosen)
    assert 0 < len(fetched) <= len(chosen.manifest.entries) - 20
