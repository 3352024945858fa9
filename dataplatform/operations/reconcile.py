"""Dagster's materializations report the lake's state; where they differ, the lake is right and the log is repaired.

They differ after a kill between commit and event, a lost or restored instance, a rollback, or a pruned log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
from dagster import DagsterEventType

from dataplatform.assets.definition import CODE_VERSION_TAG, DATA_VERSION_TAG, asset_key
from dataplatform.contracts.model import WHOLE, Contract

if TYPE_CHECKING:
    from dataplatform.lake.records import Slice
    from dataplatform.project import Project


def reconcile_events(project: Project, instance: dg.DagsterInstance) -> int:
    """Reports a materialization for each published slice that Dagster does not know in its present state.

    Returns how many were reported. One query per table when nothing differs.
    """
    reported = 0
    for contract in project.catalog:
        slices = project.lake.table(contract).open().state.slices
        known = _known_versions(instance, contract)
        for partition, entry in slices.items():
            if known.get(partition) not in (entry.revision, f"run:{entry.run_id}"):
                instance.report_runless_asset_event(_event(project, contract, partition, entry))
                reported += 1
    return reported


def _known_versions(instance: dg.DagsterInstance, contract: Contract) -> dict[str, str]:
    key = asset_key(contract)
    if contract.is_partitioned:
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
        return {partition: found[DATA_VERSION_TAG] for partition, found in tags.items() if DATA_VERSION_TAG in found}
    event = instance.get_latest_materialization_event(key)
    materialization = None if event is None else event.asset_materialization
    version = (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization else None
    return {} if version is None else {WHOLE: version}


def _event(project: Project, contract: Contract, partition: str, entry: Slice) -> dg.AssetMaterialization:
    rows = "dagster/row_count" if partition == WHOLE else "dagster/partition_row_count"
    return dg.AssetMaterialization(
        asset_key(contract),
        partition=None if partition == WHOLE else partition,
        metadata={rows: entry.rows, "revision": entry.revision, "repaired": True, "published_by_run": entry.run_id},
        tags={DATA_VERSION_TAG: entry.revision, CODE_VERSION_TAG: project.version_of(contract)},
    )
