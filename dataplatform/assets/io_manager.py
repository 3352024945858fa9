"""The lake's IO manager: what an asset returns is judged and published like every table; inputs come as asked for.

Assets made from contracts publish by themselves and hand over their `Outcome`. Any other asset whose key names a
contract may return an `ibis.Table`, a `pandas.DataFrame` or a `pyarrow.Table`, and may take its inputs as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from dataplatform.assets.candidates import Candidate, to_arrow
from dataplatform.assets.definition import asset_key
from dataplatform.assets.metadata import partition_metadata
from dataplatform.assets.slices import Outcome, make_slices
from dataplatform.assets.tracking import commit_tracking
from dataplatform.contracts.model import WHOLE, Contract
from dataplatform.engines.frames import to_frame
from dataplatform.errors import PermanentError, UnknownNameError

if TYPE_CHECKING:
    import pyarrow as pa

    from dataplatform.engines.duckdb import DuckDBSession
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project


class LakeIOManager(dg.IOManager):
    """Stores and loads lake tables for Dagster. Sessions opened for inputs live until `close`."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._sessions: list[DuckDBSession] = []

    def close(self) -> None:
        """Closes every connection handed out with an input."""
        for session in self._sessions:
            session.__exit__(None, None, None)
        self._sessions.clear()

    def _contract(self, key: dg.AssetKey) -> Contract:
        contract = self._project.catalog.get(key.path[-1])
        if asset_key(contract) != key:
            raise UnknownNameError("table", key.to_user_string(), [asset_key(contract).to_user_string()])
        return contract

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        if isinstance(obj, Outcome):
            return
        contract = self._contract(context.asset_key)
        if obj is None:
            raise PermanentError(
                f"{contract.full_name}: the asset returned None; return a table, an empty one if need be"
            )
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else [WHOLE]

        def given(session: DuckDBSession, _target: Opened, wanted: Sequence[str]) -> Candidate:
            return Candidate(session.from_arrow(_as_arrow(obj, contract)), tuple(wanted))

        outcome = make_slices(self._project, contract, partitions, run_id=context.run_id, maker=given)
        if outcome.failed:
            lines = [f"{contract.full_name} {s.partition}: {'; '.join(s.problems)}" for s in outcome.failed]
            raise dg.Failure(description="\n".join(lines), allow_retries=False)
        if not contract.is_partitioned:
            context.add_output_metadata(partition_metadata(outcome.slices[WHOLE]))
        context.add_output_metadata({"delta_version": outcome.version})

    def load_input(self, context: dg.InputContext) -> Any:
        contract = self._contract(context.asset_key)
        opened = self._project.lake.table(contract).open()
        partitions = list(context.asset_partition_keys) if context.has_asset_partitions else None
        session = self._project.session()
        table = session.open(opened, partitions)
        wanted = getattr(context.dagster_type.typing_type, "__name__", "")
        if wanted in ("DataFrame", "Table") and "ibis" not in context.dagster_type.typing_type.__module__:
            with session:
                rows = session.connection.sql(str(session.backend.compile(table)))
                arrow = rows.to_arrow_table()
                return to_frame(arrow) if wanted == "DataFrame" else arrow
        self._sessions.append(session)
        return table


def lake_io_manager(project: Project) -> dg.IOManagerDefinition:
    """The IO manager as a Dagster resource. When a run ends it closes its connections and commits what steps noted."""

    def manager(_context: dg.InitResourceContext) -> Iterator[LakeIOManager]:
        found = LakeIOManager(project)
        try:
            yield found
        finally:
            found.close()
            commit_tracking(project.lake.root)

    # a generator closes what it opened; Dagster's annotation knows the plain form alone
    return dg.IOManagerDefinition(resource_fn=cast("Callable[[dg.InitResourceContext], dg.IOManager]", manager))


def _as_arrow(data: object, contract: Contract) -> pa.Table:
    import ibis

    if isinstance(data, ibis.Table):
        # compiled and fetched by its own connection: the cast to the contract's types comes when it is staged
        backend: Any = data.get_backend()
        found: pa.Table = backend.con.sql(str(backend.compile(data))).to_arrow_table()
        return found
    return to_arrow(data, contract)
