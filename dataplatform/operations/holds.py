"""Holding a table by hand, and letting it go again. Both take effect at once, also while runs are at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataplatform.errors import PermanentError
from dataplatform.lake.holds import Hold
from dataplatform.lake.table import Lake
from dataplatform.settings import utc_now

if TYPE_CHECKING:
    import dagster as dg

    from dataplatform.contracts.model import Contract

_LONGEST = 200


def hold_table(lake: Lake, contract: Contract, reason: str) -> str:
    """Holds the table, and says so. One that is held already stays as it is, with the older reason."""
    table = lake.table(contract)
    found = table.open().hold
    if found is not None:
        return f"{found.of(contract.full_name)}; it was held already, and stays as it is"
    hold = new_hold(reason)
    table.place_hold(hold)
    return f"{hold.of(contract.full_name)}; what reads it goes on with its rows as they are"


def new_hold(reason: str) -> Hold:
    """A hold from now on, its reason on one line."""
    return Hold(" ".join(reason.split())[:_LONGEST], utc_now().isoformat(timespec="seconds"))


def release_table(lake: Lake, contract: Contract) -> str:
    """Ends the hold, and says what follows. Raises PermanentError when the table is not held."""
    table = lake.table(contract)
    found = table.open().hold
    if found is None:
        raise PermanentError(f"{contract.full_name} is not held; there is nothing to release")
    table.end_hold()
    return (
        f"{contract.full_name} is released; it was held since {found.since} ({found.reason}). "
        "The next run makes what is stale of it; `dataplatform run --dry-run` says what that is"
    )


def tell_dagster(instance: dg.DagsterInstance, contract: Contract, lake: Lake) -> None:
    """Notes in the table's history in Dagster's UI whether it is held now, and why."""
    import dagster as dg

    from dataplatform.assets.definition import asset_key

    hold = lake.table(contract).open().hold
    held = "released: what is stale is made again" if hold is None else hold.of(contract.full_name)
    instance.report_runless_asset_event(dg.AssetObservation(asset_key(contract), metadata={"held": held}))
