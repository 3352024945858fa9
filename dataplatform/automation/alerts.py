"""The sensor that looks for what is wrong every minute and tells those who are to be told.

Annotations are evaluated here (no `from __future__ import annotations`): Dagster resolves a context's annotation by
value, and fails on a text inside a nested function.
"""

from typing import TYPE_CHECKING

import dagster as dg

from dataplatform.automation.switches import sensor_status

if TYPE_CHECKING:
    from dataplatform.project import Project

SECONDS = 60
"""A look costs a fifth of a CPU second on the shipped ledger."""


def build_alert_sensor(project: "Project") -> dg.SensorDefinition:
    """`alerts`: requests no runs. What it found and whom it told is the reason it skips with."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=SECONDS,
        default_status=sensor_status(project.settings, "alerts"),
        description="Looks for what is wrong and tells who is to be told; `dataplatform alerts list` shows the same.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from dataplatform.operations.alerts.commands import look_and_tell
        from dataplatform.operations.alerts.runs import Watched

        repository = context.repository_def
        watched = Watched() if repository is None else Watched.of(repository, besides="alerts")
        told = look_and_tell(project, context.instance, watched, is_patient=True)
        return dg.SkipReason("; ".join(told.lines()) or "there was nothing to tell")

    return alerts
