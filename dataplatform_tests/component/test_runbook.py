"""What the runbook tells people to type does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataplatform_tests.published import DAYS, PublishedLake

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_the_snippet_for_older_versions_reads_the_rows_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    lake = PublishedLake(tmp_path)
    lake.sales(DAYS[:2])
    lake.sales(DAYS[2:5])
    monkeypatch.setenv("DATAPLATFORM_DATA_DIR", str(lake.settings.data_dir))
    monkeypatch.setenv("DATAPLATFORM_TABLES", str(lake.settings.tables_dir))
    exec(compile(snippet, "runbook.md", "exec"), {})  # noqa: S102 - the page's own lines
    assert capsys.readouterr().out == "2 rows then, 5 now\n"
