"""Everything that one set of settings amounts to: contracts, functions, lake, sources and partition keys.

Loaded once per process and handed down; no room keeps a copy of its own. Loading reads contracts and functions
and binds them to empty tables; it touches no data, network or instance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.contracts.catalog import Catalog, load_catalog
from dataplatform.contracts.changes import fingerprint
from dataplatform.contracts.functions import TableFunction, load_function
from dataplatform.contracts.model import WHOLE, Contract, Grain
from dataplatform.errors import ContractError
from dataplatform.lake.table import Lake

if TYPE_CHECKING:
    from dataplatform.engines.binding import Binding
    from dataplatform.engines.duckdb import DuckDBInstance, DuckDBSession
    from dataplatform.settings import Settings
    from dataplatform.sources.base import Source
    from dataplatform.sources.files import Files


@dataclass(frozen=True)
class Project:
    """The platform as configured. Made by `Project.load`; the last day is fixed for the life of the object."""

    settings: Settings
    catalog: Catalog
    functions: Mapping[str, TableFunction]
    bindings: Mapping[str, Binding]
    last_date: date

    @classmethod
    def load(cls, settings: Settings, *, today: date | None = None) -> Project:
        """Reads and binds every table. Raises ContractError with one line per problem, over all tables."""
        from dataplatform.engines.binding import bind
        from dataplatform.sources import make_source, open_landing

        catalog = load_catalog(settings.tables_dir)
        if not len(catalog):  # a mistyped folder would leave the warehouse without tables
            fix = "put DATAPLATFORM_TABLES right, or write a first table with `dataplatform new-table LAYER NAME`"
            raise ContractError([f"{settings.tables_dir}: holds no <layer>/<table>.yaml; {fix}"])
        functions: dict[str, TableFunction] = {}
        bindings: dict[str, Binding] = {}
        problems: list[str] = []
        landing = open_landing(settings)
        for contract in catalog:
            try:
                if contract.source is not None:
                    make_source(contract, landing=landing)
                    continue
                functions[contract.name] = load_function(contract, settings.tables_dir)
                upstream = {wanted.parameter: catalog.get(wanted.table) for wanted in contract.inputs}
                bindings[contract.name] = bind(contract, functions[contract.name], upstream)
            except ContractError as error:
                problems += error.problems
        if problems:
            raise ContractError(problems)
        return cls(settings, catalog, functions, bindings, settings.last_date(today))

    @classmethod
    def of_contracts(cls, settings: Settings) -> Project:
        """The project without its functions, in a fraction of the time: for what is asked of contracts and the lake."""
        return cls(settings, load_catalog(settings.tables_dir), {}, {}, settings.last_date())

    def current(self) -> Project:
        """This project as of today: a code location that runs for days sees each new one without being loaded again."""
        last = self.settings.last_date()
        return self if last == self.last_date else replace(self, last_date=last)

    @cached_property
    def lake(self) -> Lake:
        return Lake(Path(self.settings.lake_dir))

    @cached_property
    def landing(self) -> Files:
        """Where deliveries arrive, opened once: its connections are kept."""
        from dataplatform.sources import open_landing

        return open_landing(self.settings)

    @cached_property
    def days(self) -> tuple[str, ...]:
        """Every business day of the platform, as partition names, in order."""
        first = self.settings.start_date
        return tuple((first + timedelta(days=n)).isoformat() for n in range((self.last_date - first).days + 1))

    @cached_property
    def months(self) -> tuple[str, ...]:
        return tuple(sorted({f"{day[:7]}-01" for day in self.days}))

    def has_ended(self, day: str) -> bool:
        """Whether a business day is over, so that a delivery which has not come for it is missing, and not just due."""
        return day < self.last_date.isoformat() or self.last_date < self.settings.today()

    def keys(self, contract: Contract) -> Sequence[str]:
        """All partitions a table can have, in order; `all` alone for an unpartitioned one."""
        if contract.grain is Grain.NONE:
            return (WHOLE,)
        return self.days if contract.grain is Grain.DAY else self.months

    def code_of(self, contract: Contract) -> str:
        """Fingerprint of the function that makes a table's rows; "" for a raw table, which has none.

        So a change of the platform's own reader of deliveries makes no raw table stale (how its source is configured
        is in `contract_of`). `dataplatform run --select` does not force it either; `rebuild TABLE --yes` reads again.
        """
        function = self.functions.get(contract.name)
        return "" if function is None else function.fingerprint

    def contract_of(self, contract: Contract) -> str:
        """Fingerprint of what the contract decides about the data."""
        return self._contracts[contract.name]

    @cached_property
    def _contracts(self) -> Mapping[str, str]:
        return {contract.name: fingerprint(contract) for contract in self.catalog}

    def version_of(self, contract: Contract) -> str:
        """Code, contract and settings in one short text: Dagster's code version of the asset."""
        bound = json.dumps(self.settings_of(contract), sort_keys=True, default=str)
        parts = (self.code_of(contract), self.contract_of(contract), bound)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    def settings_of(self, contract: Contract) -> dict[str, Any]:
        """A table's settings as bound today: the contract's defaults, and the platform's business zone."""
        bound = dict(contract.settings)
        if "business_zone" in bound:
            bound["business_zone"] = self.settings.business_zone
        return bound

    def source(self, contract: Contract) -> Source:
        from dataplatform.sources import make_source

        return make_source(contract, landing=self.landing)

    def session(self) -> DuckDBSession:
        """A new engine session; the caller closes it."""
        self.settings.tmp_dir.mkdir(parents=True, exist_ok=True)
        return self._engine.session()

    @cached_property
    def _engine(self) -> DuckDBInstance:
        from dataplatform.engines.duckdb import DuckDBInstance

        return DuckDBInstance(self.settings.memory_limit, self.settings.tmp_dir)
