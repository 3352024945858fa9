"""The examination: every look, one after the other, so that one bad thing never hides the others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Severity
from dataplatform.errors import PlatformError, one_line
from dataplatform.operations.doctor import dagster_looks, lake_looks, machine_looks
from dataplatform.operations.doctor.finding import Finding, Kind, error
from dataplatform.operations.doctor.patient import Build, NotThereError, Patient
from dataplatform.operations.scrub import scrub

if TYPE_CHECKING:
    from dataplatform.settings import Settings

Look = Callable[[Patient], Iterator[Finding]]
LOOKS: Mapping[str, Look] = {
    "settings": machine_looks.settings,
    "definitions": lake_looks.definitions,
    "DAGSTER_HOME": dagster_looks.agreement,
    "instance files": dagster_looks.instance_files,
    "instance": dagster_looks.opening,
    "daemons": dagster_looks.daemons,
    "stuck runs": dagster_looks.stuck_runs,
    "pool slots": dagster_looks.leaked_slots,
    "tables": lake_looks.unreadable_tables,
    "slices": lake_looks.undone,
    "sources": lake_looks.outages,
    "quarantine": lake_looks.quarantine,
    "alerts": lake_looks.telling,
    "folders": machine_looks.folders,
    "disk": machine_looks.disk,
    "leftovers": machine_looks.leftovers,
    "versions": machine_looks.versions,
    "time zones": machine_looks.time_zones,
}
"""What is looked at, in order of importance."""


@dataclass
class Examination:
    """Everything that was found. `done` says of a finding that `--fix` mended what was done."""

    findings: list[Finding] = field(default_factory=list)
    done: dict[int, str] = field(default_factory=dict)
    """Number of a finding -> what its fix did."""
    failed: dict[int, str] = field(default_factory=dict)
    """Number of a finding -> why its fix did not work."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Looks that had nothing to look at, and why."""
    looked: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """1 when an error is left."""
        left = (each for number, each in enumerate(self.findings) if number not in self.done)
        return 1 if any(each.severity is Severity.ERROR for each in left) else 0


def examine(
    settings: Settings | None,
    build: Build,
    *,
    refusal: str = "",
    fix: bool = False,
    looks: Mapping[str, Look] = LOOKS,
    lock: Path | None = None,
) -> Examination:
    """Looks at everything; never raises. Without `fix` nothing is written.

    `settings` is None when they are refused, and `refusal` says why; `lock` is another lock of packages than the
    checkout's.
    """
    found, started = Examination(), time.perf_counter()
    with ExitStack() as opened:
        patient = Patient(settings, build, opened, refusal)
        if lock is not None:
            patient.lock = lock
        for name, look in looks.items():
            _look(name, look, patient, found)
        if fix:
            _fix(found)
    found.seconds = time.perf_counter() - started
    return found


def _look(name: str, look: Look, patient: Patient, found: Examination) -> None:
    found.looked += 1
    try:
        for finding in look(patient):  # what was found before an error stays found
            found.findings.append(finding)
    except NotThereError as missing:
        found.skipped[name] = str(missing)
    except Exception as unexpected:  # noqa: BLE001 - that is what a doctor is for: the other looks go on
        what = f"the look at {name} ended in an error: {_told(unexpected)}"
        found.findings.append(error(Kind.LOOK_FAILED, what, "mend what it names; then dataplatform doctor"))


def _told(unexpected: Exception) -> str:
    """Texts of other errors than these may quote values, and nobody knows which of them are private."""
    if isinstance(unexpected, PlatformError | OSError | sqlite3.Error):
        return f"{type(unexpected).__name__}: {scrub(one_line(unexpected))}"
    trace = unexpected.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(unexpected).__name__}{where}"


def _fix(found: Examination) -> None:
    for number, finding in enumerate(found.findings):
        if finding.fix is not None:
            try:
                found.done[number] = finding.fix()
            except Exception as unexpected:  # noqa: BLE001 - as above
                found.failed[number] = _told(unexpected)
