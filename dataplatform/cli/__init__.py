"""The `dataplatform` command. Each command calls one function of the room that owns what it does.

Nothing is decided here: this room reads arguments, prints, and turns errors into exit codes. Its modules import
nothing slow, so that `--help` answers at once.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence

import typer

_COLLECT_AFTER = (50_000, 20, 100)
"""Python's own first figure, 700, makes it look through a million objects of libraries again and again."""


def application() -> typer.Typer:
    """The whole command, every subcommand registered."""
    from dataplatform.cli import (  # noqa: F401 - importing registers them
        alerts,
        backing_up,
        feeding,
        holding,
        quarantine,
        reading,
        running,
        setting_up,
        upkeep,
    )
    from dataplatform.cli.app import app

    return app


def spare_collections() -> None:
    """Lets Python look for garbage less often, and not at all at the end, when everything is garbage.

    A process that makes a day and ends gave 3 of its 14 CPU seconds to these looks: 2 on the way, 1 at the end.
    """
    gc.set_threshold(*_COLLECT_AFTER)
    atexit.register(gc.freeze)


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry. Ends the process with the command's exit code."""
    spare_collections()
    application()(arguments, prog_name="dataplatform")
