"""The code location as Dagster's processes load it: quickly, and with its mistakes named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dataplatform.settings import CHECKOUT

SLOW = (
    "boto3", "botocore", "countryinfo", "dagster_duckdb", "dagster_graphql", "dagster_webserver", "deltalake",
    "great_expectations", "holidays", "jinja2", "matplotlib", "PIL", "pyspark", "scipy", "sqlglot.lineage",
)  # fmt: skip
"""What only a run, a report or a service needs. Great Expectations alone takes up to seven CPU seconds to import."""


def python(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in a folder without `.env`, with these settings and no others."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "DATAPLATFORM_DATA_DIR": str(folder), **settings}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_loading_the_definitions_imports_nothing_that_only_a_run_needs(tmp_path: Path) -> None:
    """Pain 14: a code location loads what the graph needs, and nothing else."""
    code = "import dataplatform.definitions, json, sys; print(json.dumps(sorted(sys.modules)))"
    loaded = python(tmp_path, "-c", code)
    assert loaded.returncode == 0, loaded.stderr
    assert set(SLOW).intersection(json.loads(loaded.stdout)) == set()
    assert list(tmp_path.iterdir()) == [], "nothing is made by loading"


def test_loading_the_definitions_warns_of_nothing(tmp_path: Path) -> None:
    loaded = python(tmp_path, "-c", "import dataplatform.definitions")
    assert (loaded.stdout, loaded.stderr) == ("", "")


def test_a_wrong_contract_is_reported_when_the_code_location_loads_with_file_and_fix(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    shutil.copytree(CHECKOUT / "dataplatform" / "tables", tables)
    path = tables / "aggregate" / "daily_sales.yaml"
    text = path.read_text(encoding="utf-8").replace("BIGINT", "BIGNIT", 1).replace("window: same", "window: sane", 1)
    path.write_text(text, encoding="utf-8")
    command = ("-m", "dagster", "definitions", "validate", "-m", "dataplatform.definitions")
    checked = python(tmp_path, *command, DATAPLATFORM_TABLES=str(tables))
    assert checked.returncode == 1
    said = checked.stdout + checked.stderr
    assert "Validation failed for code location dataplatform.definitions" in said
    wrong_type = f"{path}: schema[daily_sales].properties[order_count].physicalType: unknown type 'BIGNIT'"
    assert f"{wrong_type}; did you mean 'BIGINT'?" in said
    assert (
        f"{path}: customProperties[inputs].value[fact_sales].window: 'sane' is not known; did you mean 'same'?" in said
    )
