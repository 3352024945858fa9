"""Whose turn it is: a run that the automation requested works alone on the data folder, and only if it is needed.

Between a request and its run lie seconds, in which `dataplatform run`, a close or a second daemon may have done the
work. So the run takes the lock that they all take, and then looks again: when nobody needs it any more it ends as
canceled, before its first step. (A step that does nothing would have to say something of its checks.)
Runs that people start in Dagster's UI are not held up; the lake's own laws keep them right.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.automation.runs import PULSE, REQUESTED, slices_of
from dataplatform.operations.lock import run_lock
from dataplatform.planner.plan import make_plan
from dataplatform.planner.pulse import pulse

if TYPE_CHECKING:
    from dataplatform.project import Project

WAIT_SECONDS = 3600.0
"""How long a run waits for its turn; more than any other run takes, and the next tick asks again anyway."""
NOT_NEEDED = "nothing is left to do: it was made meanwhile"


def turn(project: Project) -> dg.ResourceDefinition:
    """The resource that every table's asset asks for: held from before the first step of a run to its end."""

    def hold(context: dg.InitResourceContext) -> Iterator[None]:
        run: Any = context.run
        if run is None or run.tags.get(REQUESTED) != "true":
            yield
            return
        with run_lock(project.settings.data_dir, wait=WAIT_SECONDS):
            if not is_needed(project.current(), run) and context.instance is not None:
                context.instance.report_run_canceled(run, NOT_NEEDED)
                raise dg.DagsterExecutionInterruptedError(NOT_NEEDED)
            yield

    return dg.ResourceDefinition(hold)


def is_needed(project: Project, run: dg.DagsterRun) -> bool:
    """Whether any of the run's slices is still stale. Planned again only when something moved since the request."""
    if run.tags.get(PULSE) == pulse(project):
        return True
    stale = {(slice_.table, slice_.partition) for slice_ in make_plan(project).slices()}
    return bool(slices_of(project, run) & stale)
