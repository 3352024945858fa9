"""The `dataplatform` command as tests call it: in this process, or in one of its own where signals matter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from dataplatform.cli import application
from dataplatform.settings import CHECKOUT, Settings


def options(settings: Settings) -> list[str]:
    """The options before the command that give these settings."""
    named = {
        "data-dir": settings.data_dir,
        "landing": settings.landing,
        "tables": settings.tables_dir,
        "start-date": settings.start_date,
        "end-date": settings.end_date or "",
    }
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


def call(settings: Settings, *arguments: str) -> Result:
    """Runs the command here. Errors of the platform are exit codes; any other error is raised."""
    return CliRunner().invoke(application(), [*options(settings), *arguments], catch_exceptions=False)


def start(arguments: Sequence[str], folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Starts the command in a process and a working folder of its own, output and errors in pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", "from dataplatform.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )
