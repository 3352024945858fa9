"""The sensor that keeps everything current. What it asks for is decided in `requests.py`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.automation.requests import Requests
from dataplatform.automation.switches import sensor_status
from dataplatform.planner.pulse import files_changed_since

if TYPE_CHECKING:
    from dataplatform.project import Project

KEEP_CURRENT = "keep_current"
WHOLE_GRAPH = "__ASSET_JOB"
"""Dagster's own job over all assets. A job of ours could not hold daily and monthly tables at once."""
INTERVAL_SECONDS = 30
_SHOWN = 3


def build_sensors(project: Project) -> list[dg.SensorDefinition]:
    """`keep_current`: every half minute, the next runs of what is stale, unless one is still at work."""
    requests, loaded = Requests(project), time.time()

    @dg.sensor(
        name=KEEP_CURRENT,
        job_name=WHOLE_GRAPH,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=sensor_status(project.settings, KEEP_CURRENT),
        description="Requests what is stale as ranges, and the serving layer when nothing else is left.",
    )
    def keep_current(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        # a run would take the files as they are now, and this location would hold what it made to be stale for ever
        changed = files_changed_since(project.settings.tables_dir, loaded)
        if changed:
            named = ", ".join(changed[:_SHOWN]) + (
                f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            )
            return dg.SensorResult(skip_reason=f"{named} changed since this code location was loaded; reload it")
        asked = requests.look(context.instance)
        return dg.SensorResult(run_requests=asked.requests, skip_reason=asked.reason or None)

    return [keep_current]
