"""Reads one contract file into the platform's model: `read_contract`.

All problems of a file are reported together, each as `<file>: <path in the file>: <problem>; <fix>`. What needs
more than one file to be judged (do the inputs exist?) is checked in `catalog.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from dataplatform.contracts.column_rules import column_rules
from dataplatform.contracts.columns import Properties, custom_properties, read_properties
from dataplatform.contracts.extensions import read_extensions
from dataplatform.contracts.model import Contract, Layer, Rule
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.odcs import API_VERSIONS, parse, structure_problems
from dataplatform.contracts.quality_rules import quality_rules
from dataplatform.errors import ContractError

_SLA_UNITS = {"h", "d"}
_TIMES = {"DATE", "TIMESTAMP"}


def read_contract(path: Path) -> Contract:
    """The contract in the file. Raises ContractError with one line per problem."""
    document = parse(path)
    problems = structure_problems(document)
    contract = _read(Node(document, "", problems), path)
    if problems:
        raise ContractError(f"{path}: {line}" for line in dict.fromkeys(problems))
    return contract


def _read(document: Node, path: Path) -> Contract:
    layer, table = _identity(document, path), _table(document, path)
    properties = read_properties(table)
    extensions = read_extensions(document, layer, properties)
    rules = (*column_rules(properties), *quality_rules(table, properties), *extensions.anomalies)
    _refuse_repeated(table, rules)
    return Contract(
        layer=layer,
        name=path.stem,
        version=document["version"].text,
        description=document["description"]["purpose"].demand("what the table is for"),
        grain_text=table["dataGranularityDescription"].demand("what one row is"),
        columns=properties.columns,
        rules=rules,
        primary_key=properties.primary_key,
        inputs=extensions.inputs,
        settings=extensions.settings,
        partition_column=extensions.partition_column,
        grain=extensions.grain,
        physical=extensions.physical,
        row_preserving=extensions.row_preserving,
        quarantine_share=extensions.quarantine_share,
        rounding=extensions.rounding,
        dimension=extensions.dimension,
        source=extensions.source,
        owner=_owner(document["team"]),
        sla=_sla(document["slaProperties"], table, properties),
        tags=(*document["tags"].texts, *table["tags"].texts),
        path=path,
        reconciles=extensions.reconciles,
    )


def _identity(document: Node, path: Path) -> Layer:
    """The layer, from the id `layer.table`; checks that every name in the file is the file's."""
    version = document["apiVersion"].text
    if version and version not in API_VERSIONS:
        document["apiVersion"].refuse(f"{version} is not read here", f"write {API_VERSIONS[0]}")
    name = document["name"]
    if name.text != path.stem:
        name.refuse(f"{name.value!r} is not the file's name", f"write {path.stem}, or rename the file")
    layer, _, table = document["id"].text.partition(".")
    if table != path.stem:
        document["id"].refuse(f"{document['id'].value!r} is not <layer>.{path.stem}", f"write <layer>.{path.stem}")
    if layer not in tuple(Layer):
        document["id"].refuse(f"{layer!r} is not a layer", suggest(layer, Layer))
        layer = path.parent.name
    return Layer(layer) if layer in tuple(Layer) else Layer.CLEANED


def _table(document: Node, path: Path) -> Node:
    """The one object of `schema`, which is the table."""
    objects = document["schema"].items()
    if len(objects) != 1:
        document["schema"].refuse(f"{len(objects)} objects in one file", "describe exactly one table per file")
    table = objects[0] if objects else document["schema"]
    if objects and table["name"].text != path.stem:
        table["name"].refuse(f"{table['name'].value!r} is not the file's name", f"write {path.stem}")
    if table["physicalType"].text not in {"", "table"}:
        table["physicalType"].refuse(f"{table['physicalType'].value!r} is not made here", "write table")
    if table["relationships"].is_set:
        table["relationships"].refuse("relationships of the table are not read", "write each at its column")
    return table


def _refuse_repeated(table: Node, rules: tuple[Rule, ...]) -> None:
    for name, times in Counter(rule.name for rule in rules).items():
        if times > 1:
            table["quality"].refuse(f"{times} rules are called {name!r}", "give each its own id")


def _owner(team: Node) -> str:
    """The team member whose role is owner, as Dagster wants owners: an e-mail address or `team:<name>`."""
    if isinstance(team.value, list):
        team.refuse("the list form of team is deprecated", "write {name: …, members: [{username: …, role: owner}]}")
        return ""
    for member in team["members"].items():
        if member["role"].text == "owner":
            owner = member["username"].text
            if "@" not in owner and not owner.startswith("team:"):
                member["username"].refuse(f"{owner!r} reaches nobody", "write an e-mail address or team:<name>")
            return owner
    team.refuse("the table has no owner", "add members: [{username: <e-mail>, role: owner}]")
    return ""


def _sla(promises: Node, table: Node, properties: Properties) -> dict[str, Any]:
    """The promises by name: `{"latency": {"value": 26, "unit": "h", "column": "business_date"}}`."""
    found: dict[str, Any] = {}
    for item in promises.items():
        name, element = item["property"].text, item["element"]
        owner, _, column = element.text.rpartition(".")
        if element.is_set and (column not in properties.names or owner not in {"", table["name"].text}):
            element.refuse(f"there is no column {element.value!r}", suggest(column, properties.names))
        found[name] = {"value": item["value"].value, "unit": item["unit"].text, "column": column or None}
        if name == "latency":
            found[name] |= _warn_after(item)
            types = {each.column.name: each.column.type.name for each in properties.nodes if each.is_typed}
            if types.get(column, "DATE") not in _TIMES:
                element.refuse(f"a {types[column]} carries no time", "name a column of type DATE or TIMESTAMP")
    return found


def _warn_after(latency: Node) -> dict[str, Any]:
    """Checks a latency, and reads when a warning comes before it is broken: `{"warn_after": 25}`, if that is said."""
    value, unit = latency["value"].value, latency["unit"].text
    if not _is_duration(value) or unit not in _SLA_UNITS:
        latency.refuse(f"latency {value!r} {unit!r} is no duration", "give a number above 0 and the unit h or d")
        return {}
    warn = custom_properties(latency, ("warnAfter",)).get("warnAfter")
    if warn is None:
        return {}
    if not _is_duration(warn.value) or warn.value >= value:
        warn.refuse(f"{warn.value!r} does not come before {value} {unit}", "give a smaller number of the same unit")
    return {"warn_after": warn.value}


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
