"""Which sensors and schedules run: all of them from the start, but those that `DATAPLATFORM_AUTOMATION_OFF` names.

What is switched by hand in Dagster's UI stays as it was put there. Every sensor and schedule takes its first state
from here, and `refuse_unknown_names` sees to it that the setting names nothing that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.errors import UnknownNameError

if TYPE_CHECKING:
    from dataplatform.settings import Settings


def sensor_status(settings: Settings, name: str) -> dg.DefaultSensorStatus:
    """The state in which the sensor called `name` starts."""
    return dg.DefaultSensorStatus.STOPPED if name in settings.switched_off else dg.DefaultSensorStatus.RUNNING


def schedule_status(settings: Settings, name: str) -> dg.DefaultScheduleStatus:
    """The state in which the schedule called `name` starts."""
    return dg.DefaultScheduleStatus.STOPPED if name in settings.switched_off else dg.DefaultScheduleStatus.RUNNING


def refuse_unknown_names(settings: Settings, names: Iterable[str]) -> None:
    """Raises UnknownNameError, with the nearest, for a name in the setting that no sensor or schedule bears."""
    known = frozenset(names)
    for name in sorted(settings.switched_off - known):
        raise UnknownNameError("sensor or schedule (DATAPLATFORM_AUTOMATION_OFF)", name, known)
