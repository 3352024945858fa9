"""The automation with the real daemon, web server and code server: files arrive, daemons die, sensors fail."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psutil
import pytest

from dataplatform.build import build_definitions
from dataplatform.operations.instance import open_instance
from dataplatform.operations.run import run_stale
from dataplatform.operations.serve import environment
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import shop
from dataplatform_tests.service.dagster.served import Served, hurried, serving, started, until
from dataplatform_tests.small_shop import DAYS, FIRST_FILES, LATER_FILES, deliver, everything, settings_of

CLOSES = "daily_close,monthly_close,daily_checks"
"""What is off here: only the sensors are looked at."""
FRESH = {
    "document": {
        "slaProperties": [{"property": "latency", "value": 2, "unit": "d", "element": "daily_orders.business_date"}]
    }
}
TICKS = """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor {
    sensorState { ticks(limit: 20) { status skipReason timestamp error { message cause { message } } } } } } }"""
SPECIAL = {"repositoryLocationName": "dataplatform", "repositoryName": "__repository__"}


@dataclass(frozen=True)
class Shop:
    """The small shop in a folder of its own."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return settings_of(self.folder)

    def project(self) -> Project:
        return Project.load(self.settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All that one run leaves, made in one process without any service."""
    place = made(tmp_path_factory.mktemp("undisturbed"))
    deliver(place.folder, FIRST_FILES)
    deliver(place.folder, LATER_FILES)
    with open_instance(place.settings) as instance:
        assert run_stale(place.project(), build_definitions, instance).exit_code == 0
    return everything(place.project())


def made(folder: Path) -> Shop:
    shop.shop_tables(folder, daily_orders=FRESH)
    (folder / "landing" / "orders").mkdir(parents=True)
    return Shop(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shop with its first files made, its sensors on."""
    place = made(tmp_path_factory.mktemp("automated"))
    with serving(place, CLOSES) as found:
        deliver(place.folder, FIRST_FILES)
        idle(found)
        yield found


def ticks(served: Served, sensor: str) -> list[dict[str, Any]]:
    asked = served.ask(TICKS, sensor={**SPECIAL, "sensorName": sensor})
    found: list[dict[str, Any]] = asked["sensorOrError"]["sensorState"]["ticks"]
    return found


def idle(served: Served) -> None:
    """Waits until everything that was delivered is made, warehouse and report included."""
    since = time.time()

    def nothing_to_do() -> bool | None:
        for tick in ticks(served, "keep_current"):
            if tick["timestamp"] > since and str(tick["skipReason"]).startswith("nothing"):
                return True
        return None

    until("a tick that finds nothing to do", nothing_to_do)


def published(place: Shop) -> Counter[tuple[str, str | None]]:
    """How often each slice was materialized, by any run."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    with open_instance(place.settings) as instance:
        events = [log for run in instance.get_runs() for log in instance.all_logs(run.run_id, of_type=kind)]
    found = [event.asset_materialization for event in events]
    return Counter((each.asset_key.path[-1], each.partition) for each in found if each is not None)


def test_a_file_that_arrives_reaches_the_aggregate_and_the_warehouse(served: Served) -> None:
    place = Shop(served.week.folder)
    deliver(place.folder, {DAYS[4]: LATER_FILES[DAYS[4]]})
    begun = time.monotonic()

    def there() -> bool | None:
        path = place.settings.warehouse_dir / "warehouse.duckdb"
        with duckdb.connect(str(path.resolve()), read_only=True) as warehouse:
            found = warehouse.execute("SELECT count(*) FROM aggregate.daily_orders WHERE business_date = ?", [DAYS[4]])
            row = found.fetchone()
        return True if row and row[0] else None

    until("the day in the warehouse", there)
    sys.stdout.write(
        f"from file to warehouse in {time.monotonic() - begun:.1f} s, with a sensor that looks every second\n"
    )
    assert [str(row[0]) for row in shop.rows(place.project(), "daily_orders")][-1] == DAYS[4]


def test_a_sensor_that_raises_fails_its_own_ticks_and_no_others(served: Served) -> None:
    """Its tick is red and says why; the sensor of freshness goes on, and so does this one when the cause is gone."""
    page = served.week.settings.reports_dir / "sales.html"
    idle(served)
    page.rename(page.with_suffix(".kept"))
    page.mkdir()
    since = time.time()
    try:
        failed = until("a failed tick", lambda: next((t for t in ticks(served, "keep_current") if t["error"]), None))
        assert failed["status"] == "FAILURE"
        assert "Is a directory" in failed["error"]["cause"]["message"]
        others = until(
            "another sensor", lambda: [t for t in ticks(served, "watch_freshness") if t["timestamp"] > since] or None
        )
        assert not [tick["error"] for tick in others if tick["error"]]
    finally:
        page.rmdir()
        page.with_suffix(".kept").rename(page)
    idle(served)


@contextmanager
def second_daemon(place: Shop) -> Iterator[None]:
    """A daemon that somebody started beside the one of `dataplatform up`, with a code server of its own."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", "workspace.yaml"]
    variables = {**hurried(CLOSES), **environment(place.settings), "DATAPLATFORM_AUTOMATION_OFF": CLOSES}
    variables["PYTHONPATH"] = hurried(CLOSES)["PYTHONPATH"]
    with (
        (place.folder / "second.txt").open("w", encoding="utf-8") as output,
        subprocess.Popen(
            command, cwd=place.settings.dagster_home, env=variables, stdout=output, stderr=output
        ) as daemon,
    ):
        try:
            yield
        finally:
            daemon.terminate()
            daemon.wait(60)


def test_two_daemons_make_nothing_twice(served: Served) -> None:
    place = Shop(served.week.folder)
    idle(served)
    before = published(place)
    with second_daemon(place):
        until(
            "the second daemon",
            lambda: "sensor" in (place.folder / "second.txt").read_text(encoding="utf-8").lower() or None,
        )
        deliver(place.folder, {DAYS[5]: [("61", "11", "IT", "4"), ("62", "12", "IT", "5")]})
        until("the day", lambda: DAYS[5] in partitions(place, "daily_orders") or None)
        idle(served)
    more = published(place) - before
    assert {count for (table, day), count in more.items() if day == DAYS[5]} == {1}
    assert more["raw_shop_orders", DAYS[5]] == 1


def partitions(place: Shop, table: str) -> list[str]:
    project = place.project()
    return list(project.lake.table(project.catalog.get(table)).open().state.slices)


def test_a_daemon_that_is_killed_in_the_middle_and_started_again_leaves_no_trace(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    place = made(tmp_path / "killed")
    with started(place, CLOSES) as (_, process):
        deliver(place.folder, FIRST_FILES)
        deliver(place.folder, LATER_FILES)
        until("the first table", lambda: (place.settings.lake_dir / "raw").is_dir() or None)
        family = psutil.Process(process.pid).children(recursive=True)
        for each in family:  # daemon, code server and the run that is at work, all at once
            each.kill()
        process.wait(120)
    with serving(place, CLOSES) as found:
        until(
            "everything",
            lambda: len(partitions(place, "daily_orders")) == len(undisturbed["rows"]["daily_orders"]) or None,
        )
        idle(found)
    assert everything(place.project()) == undisturbed
