"""A project is refused as a whole before anything is made of half of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplatform.errors import ContractError
from dataplatform.project import Project
from dataplatform.settings import Settings


def test_a_folder_without_tables_is_refused_so_that_a_typing_error_empties_no_warehouse(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"holds no <layer>/<table>\.yaml; put DATAPLATFORM_TABLES right"):
        Project.load(Settings.load(data_dir=tmp_path / "data", tables=tmp_path))
