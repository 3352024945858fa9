"""Sources: what is delivered to raw tables, from files in a landing folder or from what libraries know.

Nothing here is published or judged by rules: a source gives a verdict on the delivery and its rows as delivered.
"""

from __future__ import annotations

from pathlib import Path

from dataplatform.contracts.model import Contract
from dataplatform.errors import ContractError
from dataplatform.sources.base import Delivery, FileRefusedError, Notice, Offer, Refusal, Source

__all__ = ["Delivery", "FileRefusedError", "Notice", "Offer", "Refusal", "Source", "make_source"]


def make_source(contract: Contract, *, landing: Path | str) -> Source:
    """The source that a raw table's contract describes. Touches no file.

    Raises ContractError, one line per problem, when the description is wrong.
    """
    kind = (contract.source or {}).get("kind")
    if kind == "landing":
        from dataplatform.sources.files import LocalFiles
        from dataplatform.sources.landing import LandingSource

        return LandingSource(contract, LocalFiles(Path(landing)))
    if kind == "reference":
        from dataplatform.sources.reference import ReferenceSource

        return ReferenceSource(contract)
    raise ContractError([f"{contract.path}: source.kind: {kind!r} is no kind of source; use landing or reference"])
