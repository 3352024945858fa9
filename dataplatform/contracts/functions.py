"""The function of a table: where it lies, what it takes, and the fingerprint of the code that decides its rows.

Loading imports the module and reads signatures; it calls nothing. What the function makes of its inputs is asked in
`engines/binding.py`, before any data exists.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from dataplatform.contracts.code import CodeFolder
from dataplatform.contracts.model import Contract
from dataplatform.contracts.nodes import suggest
from dataplatform.errors import ContractError

Kind = Literal["ibis", "sql", "pandas"]
SLICE_DAY = "slice_day"
"""Reserved setting that no contract declares: the first day of the slice, bound by the platform."""
SLICE_DAY_EXAMPLE = dt.date(2011, 1, 1)
_PACKAGE = "dataplatform.tables"
_PACKAGE_DIR = Path(__file__).resolve().parents[1] / "tables"


@dataclass(frozen=True)
class TableFunction:
    """How a table is made. `parameters` are tables in the order `call` takes them, `settings` its keyword-only names.

    `sql` holds the text of a `.sql` table, whose `call` is None: `engines.sql_tables.to_ibis` runs it. `fingerprint`
    changes when the code that decides the rows does: this module and the helpers it imports from the tables folder,
    without comments, docstrings and formatting.
    """

    table: str
    kind: Kind
    parameters: tuple[str, ...]
    settings: tuple[str, ...]
    call: Callable[..., Any] | None
    sql: str | None
    doc: str
    source_path: Path
    line: int
    fingerprint: str


def load_function(contract: Contract, tables_dir: Path) -> TableFunction:
    """The function of `contract`'s table, from `<layer>/<table>.py` or `.sql`.

    Raises ContractError with one line per problem: file, problem, fix.
    """
    stem = tables_dir / contract.layer / contract.name
    python, sql = stem.with_suffix(".py"), stem.with_suffix(".sql")
    if sql.is_file():
        return _load_sql(contract, sql, tables_dir)
    if python.is_file():
        return _load_python(contract, python, tables_dir)
    raise ContractError(
        [f"{contract.path}: {contract.full_name} has no function; write {python.name} or {sql.name} beside it"]
    )


def _load_sql(contract: Contract, path: Path, tables_dir: Path) -> TableFunction:
    from dataplatform.contracts.sql import read_sql

    found = read_sql(path, {each.stem for each in tables_dir.glob("*/*.yaml")})
    problems = _misnamed(contract, found.tables, found.settings, "table", "`$` parameter")
    if problems:
        raise ContractError([f"{path}: {contract.name}: {problem}" for problem in problems])
    text = path.read_text(encoding="utf-8")
    return TableFunction(
        table=contract.name,
        kind="sql",
        parameters=found.tables,
        settings=found.settings,
        call=None,
        sql=text,
        doc=_leading_comment(text),
        source_path=path,
        line=1,
        fingerprint=_short_hash([found.normal_form]),
    )


def _leading_comment(text: str) -> str:
    lines = itertools.takewhile(lambda line: line.startswith("--"), text.lstrip().splitlines())
    return "\n".join(line.removeprefix("--").strip() for line in lines)


def _load_python(contract: Contract, path: Path, tables_dir: Path) -> TableFunction:
    folder = CodeFolder(tables_dir, _PACKAGE_DIR, _PACKAGE)
    try:
        sources = folder.sources_of(path)
        module = _import(folder, path)
    except SyntaxError as error:
        raise ContractError([f"{error.filename}: line {error.lineno}: {error.msg}; correct the syntax"]) from error
    except Exception as error:
        raise ContractError([f"{path}: cannot be imported: {type(error).__name__}: {error}; correct it"]) from error
    function = _find(module, contract, path)
    signature = inspect.signature(function)
    kind, problems = _kind(signature)
    problems += _misfits(signature, contract)
    if problems:
        raise ContractError([f"{path}: {contract.name}: {problem}" for problem in problems])
    return TableFunction(
        table=contract.name,
        kind=kind,
        parameters=_names(signature, inspect.Parameter.POSITIONAL_OR_KEYWORD),
        settings=_names(signature, inspect.Parameter.KEYWORD_ONLY),
        call=function,
        sql=None,
        doc=inspect.getdoc(function) or inspect.getdoc(module) or "",
        source_path=path,
        line=inspect.unwrap(function).__code__.co_firstlineno,
        fingerprint=_short_hash(sources),
    )


def _import(folder: CodeFolder, path: Path) -> ModuleType:
    """The module at `path`, under a name that changes with the folder's content, so that no stale one is taken.

    No bytecode is written for foreign folders: it is recognised by second and size, which an edit may not change.
    """
    if folder.package != _PACKAGE and folder.package not in sys.modules:
        root = ModuleType(folder.package)
        root.__path__ = [str(folder.root)]
        sys.modules[folder.package] = root
    keep = sys.dont_write_bytecode
    sys.dont_write_bytecode = keep or folder.package != _PACKAGE
    try:
        importlib.invalidate_caches()
        return importlib.import_module(folder.module_name(path))
    finally:
        sys.dont_write_bytecode = keep


def _find(module: ModuleType, contract: Contract, path: Path) -> Callable[..., Any]:
    function = getattr(module, contract.name, None)
    if inspect.isfunction(function):
        return function
    functions = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
    there = [name for name, value in functions.items() if value.__module__ == module.__name__]
    raise ContractError([f"{path}: no function called {contract.name!r}; {suggest(contract.name, there)}"])


def _kind(signature: inspect.Signature) -> tuple[Kind, list[str]]:
    """The way it is written, told from the annotations' names, so that pandas is not imported to find out."""
    tables = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    written = [_annotation(each.annotation) for each in tables] + [_annotation(signature.return_annotation)]
    frames = [name.rpartition(".")[2] == "DataFrame" for name in written]
    if any(frames) and not all(frames):
        return "pandas", ["a pandas.DataFrame stands in one annotation and not in another; annotate all tables alike"]
    return ("pandas" if all(frames) else "ibis"), []


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__qualname__", "")


def _misfits(signature: inspect.Signature, contract: Contract) -> list[str]:
    """What in a signature does not fit the contract's inputs and settings. The order of names is free."""
    problems = []
    for each in signature.parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD, each.POSITIONAL_ONLY):
            problems.append(f"parameter {each} hides what is read; name every table and, after `*`, every setting")
        elif each.kind is each.POSITIONAL_OR_KEYWORD and each.default is not each.empty:
            problems.append(f"parameter {each.name!r} has a default, so it is no table; put settings after `*`")
        elif each.name in contract.settings and each.default not in (each.empty, contract.settings[each.name]):
            problems.append(
                f"setting {each.name!r} defaults to {each.default!r} here and to {contract.settings[each.name]!r} "
                "in the contract; keep the contract's"
            )
    tables = _names(signature, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    settings = _names(signature, inspect.Parameter.KEYWORD_ONLY)
    return problems + _misnamed(contract, tables, settings, "table parameter", "keyword-only parameter")


def _misnamed(
    contract: Contract, tables: Sequence[str], settings: Sequence[str], table_word: str, setting_word: str
) -> list[str]:
    """Names taken that the contract does not declare, and the reverse; a setting taken as table is told as such."""
    inputs = [wanted.parameter for wanted in contract.inputs]
    return [
        *_missing(f"{table_word} {{!r}} is no input of the contract", tables, inputs, contract.settings),
        *_missing(
            f"{setting_word} {{!r}} is no setting of the contract",
            [name for name in settings if name != SLICE_DAY],
            list(contract.settings),
            inputs,
        ),
        *_unused(f"input {{!r}} of the contract is no {table_word}", inputs, tables, settings),
        *_unused(f"setting {{!r}} of the contract is no {setting_word}", contract.settings, settings, tables),
    ]


def _missing(problem: str, names: Iterable[str], declared: Sequence[str], elsewhere: Container[str]) -> list[str]:
    return [
        f"{problem.format(name)}; declare it there{f' ({suggest(name, declared)})' if declared else ', or remove it'}"
        for name in names
        if name not in declared and name not in elsewhere
    ]


def _unused(problem: str, names: Iterable[str], taken: Container[str], elsewhere: Container[str]) -> list[str]:
    fix = "tables stand before `*`, settings after it"
    return [
        f"{problem.format(name)}; {fix if name in elsewhere else 'use it, or remove it there'}"
        for name in names
        if name not in taken
    ]


def _names(signature: inspect.Signature, kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in signature.parameters.values() if each.kind is kind)


def _short_hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
