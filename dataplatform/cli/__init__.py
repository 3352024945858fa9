"""The `dataplatform` command. Each command calls one function of the room that owns what it does.

Nothing is decided here: this room reads arguments, prints, and turns errors into exit codes. Its modules import
nothing slow, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Console entry. Ends the process with the command's exit code."""
    application()(arguments, prog_name="dataplatform")
