"""Counts what a landing in a bucket is asked: `python bench/landing.py`, with the shipped ledger on a real S3 server.

Plan, full build of the raw table and a run with nothing to do; each line says how many LISTs, GETs and HEADs went out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dataplatform_tests.s3 import running_bucket

ROOT = Path(__file__).resolve().parents[1]
TABLE = "raw_ledger_sales_lines"
STEPS = {"plan": ("--dry-run",), "full build": (), "nothing to do": ()}


def main() -> None:
    """Runs the command three times through a gate that counts."""
    with tempfile.TemporaryDirectory() as folder, running_bucket(Path(folder, "s3")) as bucket:
        files = sorted((ROOT / "data" / "landing" / "sales").glob("*.csv.gz"))
        bucket.put({f"sales/{path.name}": path.read_bytes() for path in files})
        given = {f"DATAPLATFORM_{name.upper()}": value for name, value in bucket.settings.items()}
        environment = {**os.environ, **given, "PYTHONPATH": str(ROOT), "DATAPLATFORM_DATA_DIR": f"{folder}/data"}
        command = [sys.executable, "-c", "from dataplatform.cli import main; main()", "run", "--select", TABLE]
        for name, options in STEPS.items():
            bucket.gate.asked.clear()
            started = time.perf_counter()
            subprocess.run([*command, *options], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
            lists = sum("list-type" in line for line in bucket.gate.asked)
            gets, heads = bucket.gate.count("GET") - lists, bucket.gate.count("HEAD")
            seconds = time.perf_counter() - started
            print(f"{name}: {lists} LIST, {gets} GET, {heads} HEAD for {len(files)} files, {seconds:.1f} s")


if __name__ == "__main__":
    main()
