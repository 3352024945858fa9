"""Measures the platform against the same work in plain DuckDB, in one run: `make bench` (or `--factors 1 20`).

Writes `bench/results/results.md`. CPU seconds are user + system of the whole process tree; peak memory is the
largest process; both from the operating system. Ratios are what counts: machines are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from automation import automation_rows
from scale import scale_landing

ROOT = Path(__file__).resolve().parents[1]
FIRST, BEFORE, LAST = "2010-12-01", "2011-12-08", "2011-12-09"


@dataclass(frozen=True)
class Measured:
    """One process: CPU seconds, wall seconds, peak MB, and what it printed last."""

    cpu: float
    wall: float
    peak: float
    said: str


def measure(command: list[str], environment: dict[str, str], cwd: Path) -> Measured:
    """Runs a command to its end; exits with its output when it fails."""
    log = cwd / "output.log"
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **environment}, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    text = log.read_text(encoding="utf-8", errors="replace")
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{text[-3000:]}")
    said = text.strip().splitlines()[-1] if text.strip() else ""
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Measured(usage.ru_utime + usage.ru_stime, wall, peak, said)


def size(folder: Path) -> float:
    """Megabytes of all files below a folder, or of one file."""
    files = [folder] if folder.is_file() else [f for f in folder.rglob("*") if f.is_file() and not f.is_symlink()]
    return sum(f.stat().st_size for f in files) / 1e6


def run_factor(factor: int, work: Path, memory: str) -> list[str]:
    """All rows of one scale."""
    landing = work / "landing"
    scale_landing(ROOT / "data" / "landing" / "sales", landing / "sales", factor)
    rows: list[str] = []
    plain = [sys.executable, str(ROOT / "bench" / "plain.py"), str(landing / "sales"), str(work / "plain.duckdb")]
    for label, first, last in (("full build", FIRST, BEFORE), ("new day", LAST, LAST), ("same day again", LAST, LAST)):
        found = measure([*plain, first, last, memory], {}, work)
        disk = size(work / "plain.duckdb")
        rows.append(row(factor, "plain DuckDB", label, found, f"{disk:.0f}"))
    home = {"DATAPLATFORM_DATA_DIR": str(work / "data"), "DATAPLATFORM_LANDING": str(landing), "DAGSTER_HOME": ""}
    home |= {"DAGSTER_HOME": str(work / "data" / "dagster")}
    cli = [str(Path(sys.executable).parent / "dataplatform"), "run"]
    inside = [sys.executable, str(ROOT / "bench" / "inside.py")]
    found = measure([*inside, "run", LAST], {**home, "DATAPLATFORM_END_DATE": BEFORE}, work)
    split = json.loads(found.said)
    lake, warehouse = size(work / "data" / "lake"), size((work / "data" / "warehouse" / "warehouse.duckdb").resolve())
    disk_text = f"{lake:.0f} + {warehouse:.0f}"
    rows.append(row(factor, "platform", "full build", found, disk_text, split))
    shutil.copytree(work / "data", work / "saved", symlinks=True)
    newer = {**home, "DATAPLATFORM_END_DATE": LAST}
    rows.append(row(factor, "platform", "new day, cold, command line", measure(cli, newer, work), ""))
    rows.append(row(factor, "platform", "nothing to do, command line", measure(cli, newer, work), ""))
    shutil.rmtree(work / "data")
    shutil.move(work / "saved", work / "data")
    found = measure([*inside, "run", LAST], newer, work)
    rows.append(row(factor, "platform", "new day, in process", found, "", json.loads(found.said)))
    found = measure([*inside, "again", LAST], newer, work)
    rows.append(row(factor, "platform", "same day again, in process", found, "", json.loads(found.said)))
    return rows


def row(factor: int, who: str, what: str, found: Measured, disk: str, split: dict[str, float] | None = None) -> str:
    """One line of the results table."""
    parts = ""
    if split:
        names = ("import", "load", "great_expectations", "planning", "data", "serving", "bookkeeping")
        each = f"{split['bookkeeping_ms_per_slice']} ms of bookkeeping per slice ({split['slices']:.0f} slices)"
        parts = ", ".join(f"{name} {split[name]}" for name in names) + f"; warm {split['warm']}; {each}"
    text = f"| ×{factor} | {who} | {what} | {found.cpu:.1f} | {found.wall:.1f} | {found.peak:.0f} | {disk} | {parts} |"
    print(text, flush=True)
    return text


def main() -> None:
    """Measures every scale asked for and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--memory", default="1GB", help="DuckDB's memory limit for the plain runs")
    options = parser.parse_args()
    lines = [
        "| scale | who | what | CPU s | wall s | peak MB | disk MB (lake + warehouse) | CPU seconds by part |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for factor in options.factors:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            lines += run_factor(factor, Path(folder), options.memory)
            if factor == 1:
                lines += automation_rows(Path(folder) / "landing", Path(folder), LAST)
    target = ROOT / "bench" / "results"
    target.mkdir(exist_ok=True)
    (target / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written to {target / 'results.md'}")


if __name__ == "__main__":
    main()
