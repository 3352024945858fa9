"""What the `dataplatform alerts` commands, a run's end and the sensor do; each is one function."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataplatform.errors import PermanentError, PlatformError, UnknownNameError
from dataplatform.operations.alerts.looking import look
from dataplatform.operations.alerts.message import check_message
from dataplatform.operations.alerts.outbox import Outbox, open_outbox
from dataplatform.operations.alerts.problem import Kind, problem, scrubbed
from dataplatform.operations.alerts.sending import UndeliveredError, send
from dataplatform.operations.alerts.setting import seconds
from dataplatform.operations.alerts.standing import untold
from dataplatform.operations.alerts.telling import Teller, Told
from dataplatform.operations.alerts.text import NOBODY, list_text, open_line
from dataplatform.operations.scrub import scrub
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from dataplatform.operations.alerts.runs import Watched
    from dataplatform.project import Project
    from dataplatform.settings import Settings

DEFINITIONS = "definitions"
"""The source of the one problem that keeps every other from being looked for."""


def look_and_list(project: Project, instance: DagsterInstance, watched: Watched) -> tuple[str, list[str]]:
    """The open problems as text, and one line per table that is left without anybody being told."""
    teller, now = Teller.load(project.settings), utc_now()
    with open_outbox(project.settings.data_dir) as outbox:
        teller.take_in(outbox, look(project, instance, teller.setting, now, watched))
        left = untold(project.current(), outbox, teller.setting, now)
        text = list_text(outbox, teller.setting, now)
    return "\n".join([text, *(f"nobody was told: {line}" for line in left)]), left


def look_and_tell(project: Project, instance: DagsterInstance, watched: Watched, *, is_patient: bool = False) -> Told:
    """Looks everywhere and sends what is due."""
    teller, now = Teller.load(project.settings, is_patient=is_patient), utc_now()
    seen = look(project, instance, teller.setting, now, watched)

    def observe(outbox: Outbox) -> None:
        outbox.observe(DEFINITIONS, [], now.timestamp())  # they loaded, or we would not be here
        seen(outbox)

    return teller.tell(now, observe)


def tell_broken(settings: Settings, error: PlatformError) -> Told:
    """Tells that contracts, functions or the instance cannot be loaded, which only a look from outside can."""
    teller, now = Teller.load(settings, is_patient=False), utc_now()
    found = problem(
        Kind.DEFINITIONS_BROKEN, "definitions", expected="they load", found=str(error).split("\n", maxsplit=1)[0]
    )
    return teller.tell(now, lambda outbox: outbox.observe(DEFINITIONS, [scrubbed(found)], now.timestamp()))


def at_run_end(project: Project, instance: DagsterInstance) -> Iterator[str]:
    """Tells of what is wrong with tables, and says what is open. Never raises: a run is not judged by its telling."""
    try:
        teller, now = Teller.load(project.settings), utc_now()
        told = teller.tell(now, look(project, instance, teller.setting, now))
        yield from (f"alerts: {line}" for line in told.lines())
        with open_outbox(project.settings.data_dir) as outbox:
            line = open_line(outbox, teller.setting, now)
        if line:
            yield line
    except PlatformError as error:
        yield from (f"alerts: {line}" for line in str(error).splitlines())
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has ended well or badly before it
        yield f"alerts: nobody could be told ({type(error).__name__}: {scrub(str(error))})"


def check_receivers(settings: Settings, name: str | None) -> tuple[list[str], bool]:
    """Sends a test message to each receiver, or one; what became of it, and whether all accepted it."""
    teller = Teller.load(settings)
    receivers = teller.setting.receivers
    if not receivers:
        return [NOBODY], False
    if name is not None and name not in receivers:
        raise UnknownNameError("receiver", name, receivers)
    lines, is_good = [], True
    for each in receivers if name is None else [name]:
        try:
            note = send(receivers[each], check_message(each, teller.links, utc_now()), teller.timeout, teller.environ)
            lines.append(f"{each} accepted a test message{f', but {note}' if note else ''}")
        except UndeliveredError as error:
            lines.append(f"{each} did not accept a test message: {error.reason}")
            is_good = False
    return lines, is_good


def silence_problem(settings: Settings, fingerprint: str, duration: str) -> str:
    """Silences one open problem; PermanentError for a wrong duration, UnknownNameError for a wrong fingerprint."""
    try:
        until = utc_now().timestamp() + seconds(duration)
    except ValueError as error:
        raise PermanentError(f"--for {duration}: {error}") from None
    with open_outbox(settings.data_dir) as outbox:
        if not outbox.silence(fingerprint, until):
            known = [each.problem.fingerprint for each in outbox.alerts() if each.resolved_at is None]
            raise UnknownNameError("open problem", fingerprint, known)
    return f"{fingerprint} is silenced until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M UTC}"
