"""Programs of real services for tests. How each is got, and from where, stands in `.ci/services` alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from dataplatform.settings import CHECKOUT

SCRIPT = CHECKOUT / ".ci" / "services"
Service = Literal["versitygw", "chromium"]


def require(name: Service) -> Path:
    """The program of a service. Where there is none the test is not run and says why; on a build server it fails."""
    found = subprocess.run(["sh", SCRIPT, "where", name], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return Path(found.stdout.strip())
    why = f"not run: {found.stderr.strip()}"
    if os.environ.get("CI") == "true":
        pytest.fail(why, pytrace=False)
    pytest.skip(why)
