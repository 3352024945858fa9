"""A new table, ready to edit: contract and function that load, bind and build as they stand.

The example input is taken from the nearest layer below that has one, so that what is written is a working table
and not a form to fill in. Nothing is overwritten, and nothing stays when the result would not load.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.contracts.catalog import load_catalog
from dataplatform.contracts.model import Column, Contract, Grain, Layer
from dataplatform.contracts.naming import table_name_problem
from dataplatform.contracts.types import ColumnType
from dataplatform.errors import PermanentError, UnknownNameError
from dataplatform.operations.scaffold_text import COUNT, Kind, Sketch, contract_text, function_text

if TYPE_CHECKING:
    from dataplatform.contracts.catalog import Catalog
    from dataplatform.settings import Settings

_LAYERS = tuple(Layer)
_BIGINT, _INTEGER = ColumnType.parse("BIGINT"), ColumnType.parse("INTEGER")
_VARCHAR, _DATE = ColumnType.parse("VARCHAR"), ColumnType.parse("DATE")
_EXTRA_COLUMNS = 3
"""How many columns beside its key a table takes over from its example: enough to see how it is done."""
_GRAINS = {"daily": Grain.DAY, "monthly": Grain.MONTH}
_NOBODY = "team:owners"
"""The owner of a platform's first table, until somebody writes a name."""


class NewTableError(PermanentError):
    """The table cannot be begun as asked; nothing was written."""

    exit_code = 2


def new_table(settings: Settings, layer: str, name: str, kind: Kind = "ibis") -> list[Path]:
    """Writes contract and function (a raw table has none); returns their paths, contract first.

    Raises NewTableError for names that break the naming law or are taken, UnknownNameError for unknown layers.
    """
    if layer not in _LAYERS:
        raise UnknownNameError("layer", layer, _LAYERS)
    sketch = _sketch(load_catalog(settings.tables_dir), Layer(layer), name, kind)
    contract = settings.tables_dir / sketch.layer / f"{name}.yaml"
    texts = {contract: contract_text(sketch)}
    if sketch.layer is not Layer.RAW:
        texts[contract.with_suffix(".sql" if kind == "sql" else ".py")] = function_text(sketch, kind)
    _write(texts, settings, name)
    return list(texts)


def next_step(settings: Settings, paths: list[Path]) -> str:
    """What to do with a table that was just written, in one line."""
    contract = load_catalog(settings.tables_dir).get(paths[0].stem)
    run = f"dataplatform run --select {contract.name}"
    if contract.source is None:
        return f"edit them; build it with: {run}"
    folder, header = f"{settings.landing}/{contract.source['folder']}", ",".join(contract.source["columns"].values())
    return f"edit it; deliver {folder}/{settings.start_date}.csv with the header {header}; build it with: {run}"


def _write(texts: dict[Path, str], settings: Settings, name: str) -> None:
    """Writes the files, and takes them away again when the platform does not load with them."""
    from dataplatform.project import Project

    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        project = Project.load(settings)
        contract = project.catalog.get(name)
        if contract.source is not None:
            project.source(contract)
    except FileExistsError as error:
        _remove(written)
        raise NewTableError(f"{error.filename} is there already; nothing was written") from error
    except BaseException:
        _remove(written)
        raise


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


def _sketch(catalog: Catalog, layer: Layer, name: str, kind: Kind) -> Sketch:
    problem = table_name_problem(layer, name)
    if problem:
        raise NewTableError(problem)
    if name in catalog:
        raise NewTableError(f"there is a table {catalog.get(name).full_name} already; names are unique across layers")
    if layer is Layer.RAW:
        if kind != "ibis":
            raise NewTableError(f"{name}: a raw table has a source and no function; leave out --{kind}")
        owner = next((contract.owner for contract in catalog), _NOBODY)
        return _delivered(name, owner)
    if layer is Layer.DIMENSIONAL and name.startswith("dim_"):
        if kind != "ibis":
            raise NewTableError(f"{name}: keys of dimensions are made by an Ibis helper; leave out --{kind}")
        return _dimension(_example(catalog, layer), name)
    if layer is Layer.AGGREGATE:
        grain = _GRAINS.get(name.partition("_")[0], Grain.NONE)
        return _aggregate(_example(catalog, layer, by_day=grain is not Grain.NONE), name, grain)
    return _taken_over(_example(catalog, layer), layer, name)


def _example(catalog: Catalog, layer: Layer, *, by_day: bool = False) -> Contract:
    """The table to read: of the nearest layer below, a fact or at least one in partitions first."""
    for below in reversed(_LAYERS[: _LAYERS.index(layer)]):
        found = [each for each in catalog if each.layer is below and (each.grain is Grain.DAY or not by_day)]
        if found:
            return min(found, key=lambda each: (not each.name.startswith("fact_"), not each.is_partitioned, each.name))
    needed = " partitioned by day" if by_day else ""
    raise NewTableError(f"no layer below {layer} has a table{needed} to begin with; make one first")


def _delivered(name: str, owner: str) -> Sketch:
    """Two columns of text from a landing folder that is called after the entity, and where each row came from."""
    header = ("id", "text")
    columns = (
        Column("business_date", _DATE, "Day of the delivery.", required=True),
        *(Column(each, _VARCHAR, "As delivered.") for each in header),
        Column("extra_columns", _VARCHAR, "Columns that were not agreed on, as JSON."),
        Column("file_name", _VARCHAR, "The file the row was delivered in.", required=True),
        Column("line_number", _INTEGER, "Position among the day's delivered records, from 1.", required=True),
    )
    folder = name.removeprefix("raw_").partition("_")[2]
    keys = ("business_date", "line_number")
    return Sketch(Layer.RAW, name, owner, columns, keys, Grain.DAY, "business_date", folder=folder, header=header)


def _taken_over(example: Contract, layer: Layer, name: str) -> Sketch:
    """Rows as they are: the key, and a few columns more."""
    kept = {*example.primary_key, example.partition_column}
    others = [column.name for column in example.columns if column.name not in kept][:_EXTRA_COLUMNS]
    columns = tuple(column for column in example.columns if column.name in kept or column.name in others)
    keys, grain, by = example.primary_key, example.grain, example.partition_column
    return Sketch(layer, name, example.owner, columns, keys, grain, by, example)


def _dimension(example: Contract, name: str) -> Sketch:
    """One row per natural id that occurs in the example: the one called like the entity, if there is one."""
    entity = name.removeprefix("dim_")
    found = sorted(_ids(example), key=lambda column: column.name.partition("_")[0] != entity.partition("_")[0])
    if not found:
        raise NewTableError(f"{example.full_name} has no column …_id or …_code to make a dimension of; make one first")
    natural = Column(found[0].name, found[0].type, found[0].description, classification=found[0].classification)
    key = Column(f"{entity}_key", _BIGINT, "Made from the natural id; 0 is the unknown member.", required=True)
    columns = (key, natural)
    layer = Layer.DIMENSIONAL
    return Sketch(layer, name, example.owner, columns, (key.name,), Grain.NONE, None, example, member=natural)


def _aggregate(example: Contract, name: str, grain: Grain) -> Sketch:
    """How many rows there are, per day, month or member."""
    counted = Column(COUNT, _BIGINT, f"Rows of {example.name}.", required=True)
    if grain is Grain.NONE:
        by = next((column for column in _ids(example) if column.required), example.columns[0])
        period, partition = by, None
    else:
        by = example.column(example.partition_column or "")
        period = by if grain is Grain.DAY else Column("business_month", _DATE, "First day of the month.", required=True)
        partition = period.name
    columns, keys, group = (period, counted), (period.name,), (by.name, period.name)
    return Sketch(Layer.AGGREGATE, name, example.owner, columns, keys, grain, partition, example, group)


def _ids(contract: Contract) -> Iterator[Column]:
    """Columns that identify a member, as their names say."""
    for column in contract.columns:
        if column.name.endswith(("_id", "_code")) and column.type.name in ("VARCHAR", "BIGINT", "INTEGER"):
            yield column
