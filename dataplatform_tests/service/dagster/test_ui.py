"""What people see of a table in Dagster's UI, asked for as its pages ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataplatform.contracts.model import Contract
from dataplatform.project import Project
from dataplatform_tests.service.dagster.ledger_week import DAYS, published_rows
from dataplatform_tests.service.dagster.served import Served

pytestmark = pytest.mark.xdist_group("ledger week")

LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
ASSETS = """{ assetNodes {
    assetKey { path } groupName description kinds isPartitioned
    owners { ... on UserAssetOwner { email } ... on TeamAssetOwner { team } }
    dependencyKeys { path } tags { key value }
    metadataEntries { ...Entry }
    assetMaterializations(limit: 50) { partition metadataEntries { ...Entry } }
    assetChecksOrError { ... on AssetChecks { checks { name description executionForLatestMaterialization {
        status evaluation { severity success description metadataEntries { ...Entry } } } } } }
} }
fragment Entry on MetadataEntry {
    label
    ... on TextMetadataEntry { text }
    ... on PathMetadataEntry { path }
    ... on IntMetadataEntry { intValue }
    ... on MarkdownMetadataEntry { mdStr }
    ... on CodeReferencesMetadataEntry { codeReferences { ... on LocalFileCodeReference { filePath label } } }
    ... on TableMetadataEntry { table { records schema { columns { name } } } }
    ... on TableSchemaMetadataEntry { schema { columns {
        name type description constraints { nullable unique } tags { key value } } } }
    ... on TableColumnLineageMetadataEntry { lineage { columnName columnDeps { assetKey { path } columnName } } }
}"""


@pytest.fixture(scope="module")
def project(served: Served) -> Project:
    return served.week.project()


@pytest.fixture(scope="module")
def assets(served: Served) -> dict[str, Any]:
    """Every asset by table name, its metadata entries by label."""
    found = {}
    for node in served.ask(ASSETS)["assetNodes"]:
        newest = node["assetMaterializations"][0] if node["assetMaterializations"] else {"metadataEntries": []}
        node["metadata"] = by_label(node["metadataEntries"]) | by_label(newest["metadataEntries"])
        node["checks"] = {check["name"]: check for check in node["assetChecksOrError"]["checks"]}
        found[node["assetKey"]["path"][-1]] = node
    return found


def by_label(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["label"]: entry for entry in entries}


def records(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a table entry."""
    return [json.loads(record) for record in entry["table"]["records"]]


def test_the_code_location_loads_and_nothing_is_complained_of(served: Served) -> None:
    (entry,) = served.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    assert entry == {
        "name": "dataplatform",
        "loadStatus": "LOADED",
        "locationOrLoadError": {"__typename": "RepositoryLocation"},
    }
    # where runs are retried Dagster notes at its first start that there were none before
    said = [line for line in served.greeting.splitlines() if "EventLogConsumerDaemon" not in line]
    assert said == [f"the UI will answer at http://127.0.0.1:{served.port}; Ctrl-C stops everything"]


def test_every_table_stands_in_its_layers_group_with_its_owner_and_kinds(
    assets: dict[str, Any], project: Project
) -> None:
    for contract in project.catalog:
        node = assets[contract.name]
        assert node["groupName"] == contract.layer
        assert node["description"] == contract.description
        assert node["owners"] == [{"email": contract.owner}]
        assert "delta" in node["kinds"]
        assert node["isPartitioned"] is contract.is_partitioned
    assert {node["groupName"] for name, node in assets.items() if name not in project.catalog} == {"serving"}


def test_columns_have_types_and_descriptions_and_say_which_are_private(
    assets: dict[str, Any], project: Project
) -> None:
    for contract in project.catalog:
        shown = assets[contract.name]["metadata"]["dagster/column_schema"]["schema"]["columns"]
        assert [(c["name"], c["type"]) for c in shown] == [(c.name, str(c.type)) for c in contract.columns]
        assert all(c["description"] for c in shown)
        assert [c["constraints"]["nullable"] for c in shown] == [not c.required for c in contract.columns]
        private = {c["name"] for c in shown if {"key": "classification", "value": "confidential"} in c["tags"]}
        assert private == contract.private_columns


def test_a_table_links_to_its_place_its_contract_and_its_code(assets: dict[str, Any], project: Project) -> None:
    for contract in project.catalog:
        metadata = assets[contract.name]["metadata"]
        assert metadata["dagster/table_name"]["text"] == contract.full_name
        assert metadata["dagster/uri"]["text"].endswith(f"/lake/{contract.layer}/{contract.name}")
        assert metadata["contract"]["path"] == str(contract.path)
        links = {link["label"]: link["filePath"] for link in metadata["dagster/code_references"]["codeReferences"]}
        assert links["contract"] == str(contract.path)
        function = project.functions.get(contract.name)
        assert links.get("code") == (None if function is None else str(function.source_path))


def test_every_partition_tells_its_rows(assets: dict[str, Any], project: Project) -> None:
    for contract in project.catalog:
        shown: dict[str, int] = {}
        for event in assets[contract.name]["assetMaterializations"]:  # newest first
            name = "dagster/partition_row_count" if event["partition"] else "dagster/row_count"
            shown.setdefault(event["partition"] or "all", by_label(event["metadataEntries"])[name]["intValue"])
        assert shown == published_rows(project, contract.name)


def test_a_few_rows_are_shown_and_private_values_are_not(assets: dict[str, Any], project: Project) -> None:
    for contract in project.catalog:
        preview = assets[contract.name]["metadata"]["preview"]
        shown = records(preview)
        assert 1 <= len(shown) <= 5
        assert tuple(column["name"] for column in preview["table"]["schema"]["columns"]) == contract.column_names
        for row in shown:
            assert {row[name] for name in contract.private_columns} <= {"•••", ""}
    masked = records(assets["dim_customer"]["metadata"]["preview"])
    assert {row["customer_id"] for row in masked} == {"•••"}


def test_a_column_says_which_columns_it_is_made_from(assets: dict[str, Any]) -> None:
    metadata = assets["daily_sales"]["metadata"]
    drawn = {c["columnName"]: c["columnDeps"] for c in metadata["dagster/column_lineage"]["lineage"]}
    assert drawn["net_amount"] == [{"assetKey": {"path": ["dimensional", "fact_sales"]}, "columnName": "net_amount"}]
    written = {row["column"]: row["made from"] for row in records(metadata["lineage"])}
    assert written["net_amount"] == "fact_sales.net_amount"
    assert (
        "fact_sales.location_key"
        in {row["column"]: row["made from"] for row in records(assets["daily_country_sales"]["metadata"]["lineage"])}[
            "location_key"
        ]
    )


def rules_of(check: dict[str, Any]) -> set[str]:
    """The rules a check tells of; none for those that are not judged by rules, such as freshness."""
    execution = check["executionForLatestMaterialization"]
    entries = by_label(execution["evaluation"]["metadataEntries"]) if execution else {}
    return {row["rule"] for row in records(entries["rules"])} if "rules" in entries else set()


def test_every_rule_has_its_verdict(assets: dict[str, Any], project: Project) -> None:
    for contract in project.catalog:
        shown = {rule for check in assets[contract.name]["checks"].values() for rule in rules_of(check)}
        assert {rule.name for rule in contract.rules} <= shown, contract.full_name


def test_a_rule_that_was_not_kept_is_named_and_its_check_is_no_error(assets: dict[str, Any]) -> None:
    for node in assets.values():
        for check in node["checks"].values():
            execution = check["executionForLatestMaterialization"]
            assert (
                execution is None or execution["evaluation"]["success"] or execution["evaluation"]["severity"] == "WARN"
            )
    delivered = assets["sales_lines"]["checks"]["table"]["executionForLatestMaterialization"]["evaluation"]
    assert (delivered["success"], delivered["severity"]) == (False, "WARN")
    assert "not kept: repeated" in delivered["description"]
    assert DAYS[-1] in by_label(delivered["metadataEntries"])["findings"]["mdStr"]


def test_daily_sales_carries_a_chart(assets: dict[str, Any]) -> None:
    assert "](data:image/png;base64," in assets["daily_sales"]["metadata"]["chart"]["mdStr"]


def test_dependencies_are_drawn(assets: dict[str, Any], project: Project) -> None:
    for contract in project.catalog:
        drawn = {tuple(key["path"]) for key in assets[contract.name]["dependencyKeys"]}
        assert drawn == {path(project.catalog.get(table)) for table in reads(contract)}


def path(contract: Contract) -> tuple[str, str]:
    return contract.layer.value, contract.name


def reads(contract: Contract) -> set[str]:
    return {wanted.table for wanted in contract.inputs} | contract.references
