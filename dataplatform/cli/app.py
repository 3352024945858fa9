"""The command's frame: global options, errors as one line with an honest exit code, and help with examples."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import click
import typer
from typer import core

from dataplatform.errors import PlatformError, UnknownNameError

if TYPE_CHECKING:
    from dataplatform.project import Project
    from dataplatform.settings import Settings

core.HAS_RICH = False  # plain help loads in a third of the time, and its brackets are not escaped
_SYSTEM_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT})
"""What the machine refuses: the folder at fault says more to people than a traceback."""
INTERRUPTED = 130


class Commands(core.TyperGroup):
    """A group whose errors are one line each. A traceback is shown for unknown errors only."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UnknownNameError("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        try:
            code = super().main(args, **extra)
        except PlatformError as error:
            _fail(str(error), error.exit_code)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            _fail(_with_hint(error), error.exit_code)
        except OSError as error:
            if error.errno not in _SYSTEM_ERRORS:
                raise
            _fail(f"{error.strerror}: {error.filename or 'the data folder'}", 1)
        if code == INTERRUPTED:
            _fail("interrupted", INTERRUPTED)
        sys.exit(code or 0)


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(exit_code)


def _with_hint(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name.removeprefix("--").replace("-", "_") in GLOBAL:
        return f"{error.option_name} stands before the command: dataplatform {error.option_name} … COMMAND"
    return message


def examples(*lines: str) -> str:
    """The epilog of a command's help: its examples, each on a line of its own."""
    return "\b\nExamples:\n" + "\n".join(f"  dataplatform {line}" for line in lines)


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "run",
        "run --dry-run",
        'query "SELECT * FROM aggregate.daily_sales ORDER BY business_date DESC LIMIT 7"',
        "describe fact_sales",
        "up",
    ),
)

GLOBAL = ("data_dir", "landing", "profile", "start_date", "end_date", "business_zone", "memory_limit", "tables")


@app.callback()
def options(
    data_dir: Annotated[str | None, typer.Option(metavar="FOLDER", help="Everything that is made goes here.")] = None,
    landing: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where deliveries arrive.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="Where tables live and who computes.")] = None,
    start_date: Annotated[str | None, typer.Option(metavar="DAY", help="First business day.")] = None,
    end_date: Annotated[str | None, typer.Option(metavar="DAY", help="Last business day; empty: today.")] = None,
    business_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Zone of the business day.")] = None,
    memory_limit: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of one step.")] = None,
    tables: Annotated[str | None, typer.Option(metavar="FOLDER", help="Contracts and functions.")] = None,
) -> None:
    """From deliveries to tables people trust: checked before they are published, made again when stale.

    Options before the command override the environment (DATAPLATFORM_…), `.env` and the defaults; see
    `dataplatform settings`.
    """
    given = (data_dir, landing, profile, start_date, end_date, business_zone, memory_limit, tables)
    click.get_current_context().obj = dict(zip(GLOBAL, given, strict=True))


def at_least_one(value: int | None) -> int | None:
    """A typer callback for counts of rows."""
    if value is not None and value < 1:
        raise typer.BadParameter("write 1 or more")
    return value


def load_settings(ctx: typer.Context) -> Settings:
    """The settings in force: the options before the command first."""
    from dataplatform.settings import Settings

    return Settings.load(**ctx.obj)


def load_project(settings: Settings) -> Project:
    """Contracts and functions, read and bound."""
    from dataplatform.project import Project

    return Project.load(settings)
