"""What the automation costs and how long a file takes, with the real services: two rows of `make bench`.

`dataplatform up` runs on the whole ledger but its last day. Idle is a minute in which nothing happens, once the sensor
has found nothing to do; then the last day's file arrives, and the clock runs until the warehouse has the day.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import psutil

SETTLED, IDLE, PATIENCE = 75.0, 60.0, 600.0
_COUNT = "SELECT count(*) FROM aggregate.daily_sales WHERE business_date = ?"


def automation_rows(landing: Path, work: Path, last: str) -> list[str]:
    """Measures with the files of `landing` in a data folder below `work`; `last` is the day that arrives late."""
    ours = work / "automation"
    shutil.copytree(landing, ours / "landing")
    (arriving,) = (ours / "landing" / "sales").glob(f"{last}*")
    kept = arriving.rename(ours / arriving.name)
    data = ours / "data"
    home = {"DATAPLATFORM_DATA_DIR": str(data), "DATAPLATFORM_LANDING": str(ours / "landing")}
    environment = {**os.environ, **home, "DAGSTER_HOME": str(data / "dagster")}
    command = str(Path(sys.executable).parent / "dataplatform")
    subprocess.run([command, "run"], env=environment, cwd=ours, stdout=subprocess.DEVNULL, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    up = subprocess.Popen([command, "up", "--port", port], env=environment, cwd=ours, stdout=subprocess.DEVNULL)
    try:
        time.sleep(SETTLED)
        before = _cpu(up.pid)
        time.sleep(IDLE)
        idle = _cpu(up.pid) - before
        kept.rename(arriving)
        seconds = _until_in_warehouse(data / "warehouse" / "warehouse.duckdb", last)
        spent = _cpu(up.pid) - before - idle
    finally:
        up.send_signal(signal.SIGINT)
        up.wait()
    rows = [
        f"| ×1 | platform | idle for a minute: UI, daemon, code server | {idle:.1f} | {IDLE:.0f} | | | |",
        f"| ×1 | platform | from file to warehouse, by the sensor | {spent:.1f} | {seconds:.0f} | | | |",
    ]
    for row in rows:
        print(row, flush=True)
    return rows


def _cpu(pid: int) -> float:
    """CPU seconds of a process and all below it, those that ended and were waited for included."""
    total = 0.0
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _until_in_warehouse(path: Path, day: str) -> float:
    started = time.perf_counter()
    while time.perf_counter() - started < PATIENCE:
        with duckdb.connect(str(path.resolve()), read_only=True) as warehouse:
            found = warehouse.execute(_COUNT, [day]).fetchone()
        if found and found[0]:
            return time.perf_counter() - started
        time.sleep(0.5)
    sys.exit(f"{day} was not in the warehouse after {PATIENCE:.0f} s")
