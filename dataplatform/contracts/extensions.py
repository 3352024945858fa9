"""What the standard lacks and the platform adds, read from the document's `customProperties`.

Inputs with their windows, settings, partitioning, quarantine and the rest; `docs/contracts.md` lists them all.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import Any, Literal, cast

from dataplatform.contracts.anomaly_rules import anomaly_rules
from dataplatform.contracts.columns import Properties, custom_properties
from dataplatform.contracts.model import Dimension, Grain, Input, Layer, Lookup, Reconciled, Rule, Window
from dataplatform.contracts.nodes import Node, suggest
from dataplatform.contracts.reconciled import reconciled_columns

KNOWN = (
    "inputs",
    "settings",
    "partitioning",
    "physical",
    "rowPreserving",
    "reconciles",
    "quarantineShare",
    "rounding",
    "dimension",
    "source",
    "anomalies",
)
DEFAULT_QUARANTINE_SHARE = 0.1
_WINDOWS = ("same", "all", "before", "previous")
_QUARANTINING = (Layer.RAW, Layer.CLEANED)


@dataclass(frozen=True, slots=True)
class Extensions:
    """The custom properties of one contract, as `Contract` holds them."""

    inputs: tuple[Input, ...]
    settings: dict[str, Any]
    partition_column: str | None
    grain: Grain
    physical: Literal["partitioned", "none"]
    row_preserving: tuple[str, ...]
    reconciles: tuple[Reconciled, ...]
    quarantine_share: float
    rounding: Literal["exact", "half_up"]
    dimension: Dimension | None
    source: dict[str, Any] | None
    anomalies: tuple[Rule, ...]


def read_extensions(document: Node, layer: Layer, properties: Properties) -> Extensions:
    """Reads the custom properties of a table of `layer` with these columns."""
    given = custom_properties(document, KNOWN)

    def value(name: str) -> Node:
        return given.get(name) or Node(None, document["customProperties"].where + f"[{name}]", [])

    inputs = _inputs(value("inputs"), layer, properties)
    grain = Grain(value("partitioning").choose((Grain.DAY, Grain.MONTH), Grain.NONE))
    return Extensions(
        inputs=inputs,
        settings=_settings(value("settings"), {each.parameter for each in inputs}),
        partition_column=_partition_column(document, grain, properties),
        grain=grain,
        physical=_physical(value("physical"), grain),
        row_preserving=_row_preserving(value("rowPreserving"), inputs),
        reconciles=reconciled_columns(value("reconciles"), layer, grain, inputs, properties),
        quarantine_share=_quarantine_share(value("quarantineShare"), layer),
        rounding=cast('Literal["exact", "half_up"]', value("rounding").choose(("exact", "half_up"), "exact")),
        dimension=_dimension(value("dimension"), properties),
        source=_source(document, value("source"), layer),
        anomalies=anomaly_rules(value("anomalies"), grain, properties),
    )


def _inputs(node: Node, layer: Layer, properties: Properties) -> tuple[Input, ...]:
    if node.is_set and not isinstance(node.value, list):
        node.refuse(f"{node.value!r} is not a list", "write [{table: <table>, window: same}, …]")
    if node.items() and layer is Layer.RAW:
        node.refuse("a raw table reads its source, not other tables", "remove the inputs")
    inputs: list[Input] = []
    for item in node.items():
        each = _input(item, properties)
        if any(each.parameter == other.parameter for other in inputs):
            item.refuse(f"parameter {each.parameter!r} stands twice", "give this one a name of its own: parameter: …")
        inputs.append(each)
    return tuple(inputs)


def _input(item: Node, properties: Properties) -> Input:
    item.allow_keys(("parameter", "table", "window", "columns", "lookup"))
    table = item["table"].demand("the table to read")
    if "." in table:
        item["table"].refuse(f"{table!r} names a layer", f"write {table.rpartition('.')[2]}: tables are unique")
    parameter = item["parameter"].text or table
    _demand_parameter(item, parameter)
    window = _window(item["window"])
    lookup = _lookup(item["lookup"], properties) if item["lookup"].is_set else None
    if lookup and window.kind != "all":
        item["window"].refuse(f"a lookup is read whole, not {str(window)!r}", "write window: all")
    return Input(parameter, table, window, item["columns"].texts, lookup)


def _demand_parameter(node: Node, name: str) -> None:
    if name and (not name.isidentifier() or keyword.iskeyword(name) or name != name.lower()):
        node.refuse(f"{name!r} cannot be a parameter", "use small letters, digits and _, a letter first")


def _window(node: Node) -> Window:
    if not isinstance(node.value, dict):
        return Window(cast("Any", node.choose(_WINDOWS, "same")))
    node.allow_keys(("back", "ahead"))
    back, ahead = (node[key].value or 0 for key in ("back", "ahead"))
    counts = all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in (back, ahead))
    if not counts or back + ahead == 0:
        node.refuse(f"{node.value} is no window", "write {back: n, ahead: m} in whole partitions, or same")
        return Window()
    return Window("range", back, ahead)


def _lookup(node: Node, properties: Properties) -> Lookup:
    node.allow_keys(("column", "references", "uses"))
    column = node["column"].demand("the column that holds the member")
    if column and column not in properties.names:
        node["column"].refuse(f"the table has no column {column!r}", suggest(column, properties.names))
    references = node["references"].demand("the dimension's column it equals")
    if not node["uses"].texts:
        node["uses"].refuse("the columns of the dimension it uses are missing", "list those whose change matters")
    return Lookup(column, references, node["uses"].texts)


def _settings(node: Node, parameters: set[str]) -> dict[str, Any]:
    if node.is_set and not isinstance(node.value, dict):
        node.refuse(f"{node.value!r} is not a mapping", "write {<setting>: <default>}")
    for name, default in node.mapping.items():
        _demand_parameter(node, str(name))
        if name in parameters:
            node.refuse(f"{name!r} is an input too", "rename the setting")
        if default is None or isinstance(default, dict):
            node.refuse(f"setting {name!r} has no plain default", "give it a number, a text, true, false or a list")
    return node.mapping


def _partition_column(document: Node, grain: Grain, properties: Properties) -> str | None:
    where = document["customProperties"]
    marked = properties.partitioned_by
    if grain is Grain.NONE:
        if marked:
            where.refuse(f"{marked[0]} is marked partitioned without partitioning", "add partitioning: day or month")
        return None
    if len(marked) != 1:
        found = f"{len(marked)} columns are" if marked else "no column is"
        where.refuse(f"partitioning is {grain} but {found} marked partitioned: true", "mark exactly one DATE column")
        return None
    each = next(each for each in properties.nodes if each.column.name == marked[0])
    if each.is_typed and each.column.type.name != "DATE":
        each.node["partitioned"].refuse(f"a {each.column.type} cannot be the partition", "partition by a DATE column")
    if not each.column.required:
        each.node["partitioned"].refuse("the partition column may be NULL", "add required: true")
    return marked[0]


def _physical(node: Node, grain: Grain) -> Literal["partitioned", "none"]:
    default = "none" if grain is Grain.NONE else "partitioned"
    chosen = node.choose(("partitioned", "none"), default)
    if chosen == "partitioned" and grain is Grain.NONE:
        node.refuse("a table without partitioning cannot be stored in partitions", "remove it or add partitioning")
    return cast('Literal["partitioned", "none"]', chosen)


def _row_preserving(node: Node, inputs: tuple[Input, ...]) -> tuple[str, ...]:
    if node.is_set and not node.texts:
        node.refuse(f"{node.value!r} names no input", "list the inputs whose rows are all kept or quarantined")
    names = [each.parameter for each in inputs]
    for name in node.texts:
        if name not in names:
            node.refuse(f"{name!r} is not an input", suggest(name, names))
    return node.texts


def _quarantine_share(node: Node, layer: Layer) -> float:
    if layer not in _QUARANTINING:
        if node.is_set:
            node.refuse(f"{layer} tables have no quarantine: a broken row rule blocks them", "remove it")
        return 0.0
    value = DEFAULT_QUARANTINE_SHARE if node.value is None else node.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        node.refuse(f"{value!r} is not a share", "write a number from 0 to 1")
        return DEFAULT_QUARANTINE_SHARE
    return float(value)


def _dimension(node: Node, properties: Properties) -> Dimension | None:
    if not node.is_set:
        return None
    keys = ("id", "key", "validFrom", "validTo")
    node.allow_keys(keys)
    names = {key: node[key].text or None for key in keys}
    for key in ("id", "key"):
        node[key].demand("the column")
    for key, name in names.items():
        if name and name not in properties.names:
            node[key].refuse(f"there is no column {name!r}", suggest(name, properties.names))
    if (names["validFrom"] is None) != (names["validTo"] is None):
        node.refuse("a version needs both ends of its interval", "give validFrom and validTo, or neither")
    return Dimension(names["id"] or "", names["key"] or "", names["validFrom"], names["validTo"])


def _source(document: Node, node: Node, layer: Layer) -> dict[str, Any] | None:
    if layer is not Layer.RAW:
        if node.is_set:
            node.refuse(f"a {layer} table has no source", "remove it; name the tables it reads under inputs")
        return None
    if not node.is_set:
        document["customProperties"].refuse("a raw table has no source", "add source: {kind: landing, folder: …}")
    elif not isinstance(node.value, dict) or not node["kind"].text:
        node.refuse("the source has no kind", "write {kind: landing, folder: …}")
    return node.mapping
