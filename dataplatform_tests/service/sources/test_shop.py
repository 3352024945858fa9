"""The small shop over a real bucket: whole runs, a server that dies in the middle, and what is seen of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from dataplatform.planner.plan import make_plan
from dataplatform.project import Project
from dataplatform.settings import CHECKOUT, Settings
from dataplatform.sources import BREAKERS
from dataplatform_tests import shop, small_shop
from dataplatform_tests.command import call, options
from dataplatform_tests.s3 import KEY, SECRET, Bucket
from dataplatform_tests.small_shop import DAYS, FIRST_FILES, HEADER, LATER_FILES, Order, everything, run

RAW = "raw_shop_orders"


@pytest.fixture
def settings(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The shop's tables, its landing in the bucket with the first files, before any run."""
    shop.shop_tables(tmp_path)
    monkeypatch.setenv("DATAPLATFORM_S3_ENDPOINT", bucket.settings["s3_endpoint"])
    put(bucket, FIRST_FILES)
    return bucket_settings(bucket, tmp_path)


def bucket_settings(bucket: Bucket, folder: Path, data: str = "data") -> Settings:
    return Settings.load(
        data_dir=folder / data,
        tables=folder / "tables",
        start_date=DAYS[0],
        end_date=DAYS[-1],
        landing=bucket.settings["landing"],
    )


def put(bucket: Bucket, files: Mapping[str, Sequence[Order]]) -> None:
    bucket.put({f"orders/{day}.csv": text(orders) for day, orders in files.items()})


def text(orders: Iterable[Order]) -> bytes:
    return "\n".join([HEADER, *map(small_shop._line, orders), ""]).encode()


def a_minute_later(settings: Settings) -> None:
    """Moves what all processes know of the source into the past, by the minute for which nobody asks."""
    for path in (settings.tmp_dir / BREAKERS).glob("*.json"):
        state = json.loads(path.read_text(encoding="utf-8"))
        moved = {"asks": [ask - 60 for ask in state["asks"]], "answered": state["answered"] - 60}
        path.write_text(json.dumps(state | moved), encoding="utf-8")


def in_a_folder(tmp_path: Path, *files: Mapping[str, Sequence[Order]]) -> dict[str, Any]:
    """What the same files in a folder come to."""
    plain = small_shop.make_shop(tmp_path / "plain")
    run(plain)
    for more in files:
        small_shop.deliver(tmp_path / "plain", more)
        run(plain)
    return everything(Project.load(plain))


def test_the_shop_from_a_bucket_equals_the_shop_from_a_folder(
    bucket: Bucket, settings: Settings, tmp_path: Path
) -> None:
    run(settings)
    put(bucket, LATER_FILES)
    run(settings)
    assert everything(Project.load(settings)) == in_a_folder(tmp_path, LATER_FILES)
    assert run(settings).startswith("nothing to do: every table is up to date")


def test_a_second_run_costs_a_list_each_for_plan_strays_and_alerts(bucket: Bucket, settings: Settings) -> None:
    run(settings)
    bucket.gate.asked.clear()
    run(settings)
    assert len(bucket.gate.asked) == 3


def test_a_run_never_asks_for_heads_and_gets_each_file_once(bucket: Bucket, settings: Settings) -> None:
    run(settings)
    files = [line for line in bucket.gate.asked if "list-type" not in line]
    assert sorted(line.rpartition("/")[2] for line in files) == sorted(f"{day}.csv" for day in FIRST_FILES)
    assert len(bucket.gate.asked) - len(files) < 10


# a server that is down


def failures(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("failed: ")]


def test_a_server_that_dies_in_the_middle_of_a_range_costs_only_the_days_that_were_not_read(
    bucket: Bucket, settings: Settings, tmp_path: Path
) -> None:
    """Finished days are published, each other day has its line, and the next run does exactly the rest."""
    bucket.gate.shut_after = 4 + 2  # the lists of plan and attempt, the step's two, and two days
    output = run(settings, code=1)
    project = Project.load(settings)
    assert list(project.lake.table(project.catalog.get(RAW)).open().state.slices) == DAYS[:2]
    assert len(shop.rows(project, "daily_orders")) == 2
    down = "|".join(re.escape(day) for day in DAYS[2:4])
    assert len([line for line in failures(output) if re.search(rf"raw\.{RAW} ({down}): ", line)]) == 2
    assert re.search(rf"failed: raw\.{RAW}: the landing s3://deliveries/landing at .* is down since .* UTC \(", output)
    bucket.gate.mode, bucket.gate.shut_after = "open", -1
    a_minute_later(settings)
    bucket.gate.asked.clear()
    run(settings)
    got = {line.rpartition("/")[2] for line in bucket.gate.asked if "list-type" not in line}
    assert got == {f"{day}.csv" for day in DAYS[2:4]}
    assert everything(Project.load(settings))["rows"] == in_a_folder(tmp_path)["rows"]


def test_a_stopped_server_lets_other_tables_go_on_and_is_told_with_exit_code_1(
    bucket: Bucket, settings: Settings, tmp_path: Path
) -> None:
    """Stopped for real, and started again: nothing was lost, nothing is asked for within the minute."""
    run(settings)
    put(bucket, LATER_FILES)
    before = shop.rows(Project.load(settings), "daily_orders")
    table = tmp_path / "tables" / "aggregate" / "daily_orders.py"
    table.write_text(table.read_text(encoding="utf-8").replace("fact_orders.count()", "fact_orders.count() + 1"))
    bucket.server.stop()
    a_minute_later(settings)
    bucket.gate.asked.clear()
    output = run(settings, code=1)
    (line,) = failures(output)
    assert re.fullmatch(
        rf"failed: raw\.{RAW}: the landing s3://deliveries/landing at \S+ is down since [\d-]+ [\d:]+ UTC "
        r"\([^)]+\); it is asked again from [\d:]+ UTC",
        line,
    )
    after = shop.rows(Project.load(settings), "daily_orders")
    assert [row[1] for row in after] == [row[1] + 1 for row in before], "a table that is stale by itself was made"
    dry = call(settings, "run", "--dry-run")
    assert f"down: raw.{RAW}: the landing " in dry.output
    assert len(bucket.gate.asked) == 3
    bucket.server.start()
    run(settings, code=1)
    assert len(bucket.gate.asked) == 3, "it is up, and the minute is not over"
    a_minute_later(settings)
    run(settings)
    assert len(make_plan(Project.load(settings))) == 0
    assert len(shop.rows(Project.load(settings), RAW)) == 2 + 3 + 3 + 4 + 3


def test_three_processes_at_once_ask_a_server_that_is_down_three_times(bucket: Bucket, settings: Settings) -> None:
    bucket.server.stop()
    command = [sys.executable, "-c", "from dataplatform.cli import main; main()", *options(settings), "run"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    started = [
        subprocess.Popen(
            [*command, "--dry-run"], env=environment, stdout=subprocess.PIPE, text=True, cwd=settings.tables_dir
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert all(f"down: raw.{RAW}: the landing " in output for output in said), said
    assert len(bucket.gate.asked) == 3


def test_a_plan_over_a_source_that_is_down_is_a_plan(bucket: Bucket, settings: Settings) -> None:
    """What sensors and schedules ask must not raise: the other tables would wait for this one."""
    bucket.server.stop()
    plan = make_plan(Project.load(settings))
    assert set(plan.down) == {RAW}
    assert (len(plan), plan.missing_files) == (0, {})


# secrets (pain 19)


def test_credentials_are_in_nothing_that_is_shown_logged_or_stored(
    bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pain 19: also when they are refused, which S3 answers with the key's name and what was signed."""
    shown = run(settings) + call(settings, "settings").output
    wrong = SECRET[::-1]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    put_by_nobody = run(settings, code=1)
    assert f"failed: raw.{RAW}: " in put_by_nobody
    assert "the credentials are refused (HTTP 403 SignatureDoesNotMatch)" in put_by_nobody
    stored = b"".join(path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file())
    for secret in (KEY, SECRET, wrong):
        assert secret not in shown + put_by_nobody
        assert secret.encode() not in stored


# markers


def test_days_are_made_as_their_markers_come(bucket: Bucket, settings: Settings, tmp_path: Path) -> None:
    source = shop.SOURCE | {"success": "{date}.done"}
    shop.shop_tables(tmp_path, raw_shop_orders={"custom": {"source": source}})
    bucket.put({f"orders/{day}.done": b"" for day in DAYS[:2]})
    output = run(settings)
    assert f"warning: {RAW}: awaiting_marker, not read yet: {DAYS[2]}, {DAYS[3]}" in output
    assert f"warning: {RAW}: file_missing on open days: {DAYS[4]}, {DAYS[5]}" in output
    project = Project.load(settings)
    assert list(project.lake.table(project.catalog.get(RAW)).open().state.slices) == DAYS[:2]
    dry = call(settings, "run", "--dry-run")
    assert f"notice: raw.{RAW}: awaiting_marker on 2 days: {DAYS[2]}..{DAYS[3]}" in dry.output
    bucket.put({f"orders/{day}.done": b"" for day in DAYS[1:4]})  # one of them once more: that is no change
    run(settings)
    assert everything(Project.load(settings))["rows"] == in_a_folder(tmp_path)["rows"]


def test_a_marker_that_a_contract_asks_for_later_makes_no_day_again(
    bucket: Bucket, settings: Settings, tmp_path: Path
) -> None:
    run(settings)
    source = shop.SOURCE | {"success": "{date}.done"}
    shop.shop_tables(tmp_path, raw_shop_orders={"custom": {"source": source}})
    assert len(make_plan(Project.load(settings))) == 0
