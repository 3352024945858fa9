"""Freshness in Dagster: a check per table that promises it, kept up to date by a sensor, and Dagster's own policies.

What fresh means is decided in `planner/freshness.py`. The check speaks of the data as well as of the last run; a
policy of Dagster's sees the last materialization alone, and marks the asset by it in the graph.

Annotations are evaluated here (no `from __future__ import annotations`), as in `assets/definition.py`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataplatform.assets.definition import asset_key
from dataplatform.automation.switches import sensor_status
from dataplatform.planner.freshness import FRESHNESS_CHECK, Freshness, FreshnessState, freshness

if TYPE_CHECKING:
    from dataplatform.project import Project

_INTERVAL_SECONDS = 120


def build_freshness_checks(project: "Project") -> list[dg.AssetChecksDefinition]:
    """The check `freshness` of every table whose contract promises a latency, made by one step; none without such."""
    keys = {contract.name: asset_key(contract) for contract in project.catalog if contract.latency is not None}
    if not keys:
        return []

    @dg.multi_asset_check(
        name=FRESHNESS_CHECK,
        specs=[dg.AssetCheckSpec(FRESHNESS_CHECK, asset=key, description=_DESCRIPTION) for key in keys.values()],
        can_subset=True,
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted = {key.asset_key for key in context.selected_asset_check_keys}
        for name, found in freshness(project.current(), project.settings.now()).items():
            if keys[name] in wanted:
                yield dg.AssetCheckResult(asset_key=keys[name], **_evaluation(found))

    return [check]


def build_freshness_sensors(project: "Project") -> list[dg.SensorDefinition]:
    """Reports each table's freshness when it is another than was reported last. Starts no run, and holds no state."""
    keys = {contract.name: asset_key(contract) for contract in project.catalog if contract.latency is not None}
    if not keys:
        return []

    @dg.sensor(
        name="watch_freshness",
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=sensor_status(project.settings, "watch_freshness"),
        description="Judges every table's freshness by the clock, and reports the check where its answer has changed.",
    )
    def watch_freshness(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = freshness(project.current(), project.settings.now())
        said = _said(context.instance, [dg.AssetCheckKey(keys[name], FRESHNESS_CHECK) for name in found])
        news = [
            dg.AssetCheckEvaluation(asset_key=keys[name], check_name=FRESHNESS_CHECK, **_evaluation(state))
            for name, state in found.items()
            if said.get(keys[name]) != _answer(state)
        ]
        skipped = None if news else f"{len(found)} tables are as they were"
        return dg.SensorResult(asset_events=news, skip_reason=skipped)

    return [watch_freshness]


_DESCRIPTION = "The newest data and the last run are as recent as the contract's latency promises."


def _answer(found: Freshness) -> tuple[bool, str]:
    return found.state is FreshnessState.FRESH, str(found)


def _said(instance: dg.DagsterInstance, keys: list[dg.AssetCheckKey]) -> dict[dg.AssetKey, tuple[bool, str]]:
    """What was reported last, by asset. A check that was planned by a run and not made yet counts as none."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    said = {}
    for key, record in records.items():
        evaluation = record.evaluation
        if isinstance(evaluation, dg.AssetCheckEvaluation):
            said[key.asset_key] = (evaluation.passed, evaluation.description or "")
    return said


def _evaluation(found: Freshness) -> dict[str, Any]:
    passed, description = _answer(found)
    late = found.state is FreshnessState.LATE
    details: dict[str, Any] = {
        "state": found.state.value,
        "newest with data": found.newest or "none",
        "late": ", ".join(found.late) or "none",
        "not there yet": ", ".join(found.soon) or "none",
    }
    if found.published_at is not None:
        details["last published or verified"] = dg.MetadataValue.timestamp(found.published_at)
    return {
        "passed": passed,
        "severity": dg.AssetCheckSeverity.ERROR if late else dg.AssetCheckSeverity.WARN,
        "description": description,
        "metadata": details,
    }
