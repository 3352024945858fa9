"""Sources: what is delivered to raw tables, from files in a landing folder or from what libraries know.

Nothing here is published or judged by rules: a source gives a verdict on the delivery and its rows as delivered.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.contracts.model import Contract
from dataplatform.errors import ContractError
from dataplatform.sources.base import Delivery, FileRefusedError, Notice, Offer, Offers, Refusal, Source

if TYPE_CHECKING:
    from dataplatform.settings import Settings
    from dataplatform.sources.files import Files

__all__ = [
    "Delivery", "FileRefusedError", "Notice", "Offer", "Offers", "Refusal", "Source", "make_source", "open_landing",
]  # fmt: skip

BREAKERS = "sources"
"""Below the data folder's `tmp/`: what all processes know of sources that give no answer. When lost, they are asked."""


def open_landing(settings: Settings) -> Files:
    """The landing of the settings, a folder or a bucket's prefix. Touches no file and asks nobody yet."""
    from dataplatform.settings import S3Prefix

    if not isinstance(settings.landing, S3Prefix):
        from dataplatform.sources.files import LocalFiles

        return LocalFiles(settings.landing)
    import hashlib

    from dataplatform.sources.breaker import Breaker
    from dataplatform.sources.guarded import GuardedFiles
    from dataplatform.sources.s3 import S3Files

    place = f"{settings.landing} at {settings.s3_endpoint}" if settings.s3_endpoint else str(settings.landing)
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    breaker = Breaker(settings.tmp_dir / BREAKERS / f"{name}.json", f"the landing {place}")
    return GuardedFiles(S3Files(settings.landing, settings), breaker)


def make_source(contract: Contract, *, landing: Files | Path | str) -> Source:
    """The source that a raw table's contract describes. Touches no file.

    Raises ContractError, one line per problem, when the description is wrong.
    """
    kind = (contract.source or {}).get("kind")
    if kind == "landing":
        from dataplatform.sources.files import LocalFiles
        from dataplatform.sources.landing import LandingSource

        return LandingSource(contract, LocalFiles(Path(landing)) if isinstance(landing, str | Path) else landing)
    if kind == "reference":
        from dataplatform.sources.reference import ReferenceSource

        return ReferenceSource(contract)
    raise ContractError([f"{contract.path}: source.kind: {kind!r} is no kind of source; use landing or reference"])
