"""The Dagster instance of a data folder: made once, safely, and never mistaken for another one.

The instance is `<data folder>/dagster`. Dagster's own commands find it by DAGSTER_HOME, and let a `.env` in the
working folder override the environment; so the checkout's `.env` names it, and a command of the platform refuses
to start where DAGSTER_HOME names another instance than the settings do.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import PermanentError
from dataplatform.settings import CHECKOUT

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.settings import Settings

_FILES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_PLACEHOLDER = "{env: DAGSTER_HOME}"


class InstanceError(PermanentError):
    """DAGSTER_HOME names another instance than the data folder's."""

    exit_code = 2


class UnusableInstanceError(PermanentError):
    """The instance's files cannot be read or written."""


@contextmanager
def open_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The data folder's instance, made when there is none. Closed at the end, which tidies its files.

    Raises UnusableInstanceError when its files cannot be written: the disk is full, or the folder read-only.
    """
    from dagster import DagsterInstance
    from sqlalchemy.exc import OperationalError

    try:
        home = ensure_instance(settings)
        with DagsterInstance.from_config(str(home)) as instance:
            yield instance
    except OperationalError as error:
        raise UnusableInstanceError(
            f"Dagster cannot use its files in {settings.dagster_home}: {error.orig}, with "
            f"{_megabytes_left(settings)} MB left there; put that right and run again, nothing published is lost"
        ) from error


def _megabytes_left(settings: Settings) -> str:
    """SQLite calls a full disk an input/output error, too."""
    return f"{shutil.disk_usage(settings.dagster_home).free / 1e6:,.1f}"


def ensure_instance(settings: Settings, folder: Path | None = None) -> Path:
    """Makes the instance, or brings its `dagster.yaml` up to date; gives its folder. Safe in several processes at once.

    `folder` is the working folder. When that is the checkout, and the data folder was not chosen for this command
    alone, its `.env` gets the DAGSTER_HOME line if it has none. Raises InstanceError as `require_agreement` does.
    """
    folder = folder or Path.cwd()
    require_agreement(settings, folder)
    home = settings.dagster_home
    if not _is_ready(home):
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".lock").open("a") as lock:  # closing it frees the lock
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_ready(home):
                _make(home)
    if folder.resolve() == CHECKOUT and settings.origin("data_dir") not in {"argument", "environment"}:
        _write_env(folder / ".env", home)
    return home


def require_agreement(settings: Settings, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Raises InstanceError when DAGSTER_HOME, in the environment or in `folder`'s `.env`, is another instance."""
    named = {"environment": environ.get("DAGSTER_HOME"), str(folder / ".env"): _env_home(folder / ".env")}
    for origin, home in named.items():
        if home and Path(home).expanduser().resolve() != settings.dagster_home.resolve():
            raise InstanceError(
                f"DAGSTER_HOME={home} ({origin}) is not the instance of the data folder, {settings.dagster_home}: "
                f"unset it there, or choose the data folder it belongs to with DATAPLATFORM_DATA_DIR"
            )


def _is_ready(home: Path) -> bool:
    """`dagster.yaml` is written last, so it says that all before it is there."""
    try:
        written = (home / "dagster.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return written == _configuration(home) and all((home / file).exists() for file in _FILES)


def _configuration(home: Path) -> str:
    """The checkout's `dagster.yaml` with the path in place, so that the instance opens whatever DAGSTER_HOME says."""
    template = (CHECKOUT / "dagster.yaml").read_text(encoding="utf-8")
    return template.replace(_PLACEHOLDER, json.dumps(str(home)))


def _make(home: Path) -> None:
    """Opening the instance once creates its SQLite files; two processes doing so at once can corrupt them."""
    from dagster import DagsterInstance

    (home / "workspace.yaml").write_text((CHECKOUT / "workspace.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    new = home / "dagster.new.yaml"
    new.write_text(_configuration(home), encoding="utf-8")
    with DagsterInstance.from_config(str(home), new.name) as instance:
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()
    new.replace(home / "dagster.yaml")


def _env_home(path: Path) -> str | None:
    from dotenv import dotenv_values

    return dotenv_values(path).get("DAGSTER_HOME") if path.exists() else None


def _write_env(path: Path, home: Path) -> None:
    if _env_home(path) is None:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        gap = "\n" if before and not before.endswith("\n") else ""
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{gap}DAGSTER_HOME={json.dumps(str(home))}\n")
