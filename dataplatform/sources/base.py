"""What every source promises: what is on offer now, and a verdict with rows for one partition of it.

A source keeps no state and decides nothing about publication: what was read before is the lake's record, and what
happens to an accepted, refused or missing delivery is the business of whoever asked. Reading files is `files.py`,
the verdict on a day's files `landing.py`, reference data of libraries `reference.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from dataplatform.contracts.model import Contract
from dataplatform.errors import ContractError, PermanentError
from dataplatform.sources.profile import ColumnProfile

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import ValidationError

Status = Literal["accepted", "refused", "missing", "closed", "unread"]


class Refusal(StrEnum):
    """Why a delivery was not read at all; nothing of it reaches the table."""

    EMPTY_FILE = "empty_file"
    TRUNCATED_GZIP = "truncated_gzip"
    CORRUPT_GZIP = "corrupt_gzip"
    NOT_DECODABLE = "not_decodable"
    NO_HEADER = "no_header"
    WRONG_DELIMITER = "wrong_delimiter"
    MISSING_COLUMN = "missing_column"
    DUPLICATED_COLUMN = "duplicated_column"
    DIFFERENT_FILES = "different_files"
    OUTSIDE_LANDING = "outside_landing"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"


class Notice(StrEnum):
    """What was unusual about a delivery that was accepted, or about a day without one."""

    BOM = "bom"
    UTF16 = "utf16"
    ADDED_COLUMNS = "added_columns"
    IDENTICAL_DUPLICATE = "identical_duplicate"
    NO_ROWS = "no_rows"
    FILE_MISSING = "file_missing"
    AWAITING_MARKER = "awaiting_marker"
    STRAY_FILE = "stray_file"


class FileRefusedError(PermanentError):
    """A delivered file cannot be read as agreed. The message is `code: file: what is wrong; what to do`."""

    def __init__(self, code: Refusal, text: str) -> None:
        self.code = code
        super().__init__(f"{code}: {text}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What is there now for one partition.

    `signature` is cheap and changes whenever the content may have changed; only then is a fingerprint worth its
    cost. `files` are names below the landing folder, sorted; none for data that a library brings.
    """

    partition: str
    signature: str
    files: tuple[str, ...] = ()


class Offers(dict[str, Offer]):
    """Partition -> offer, in order. `awaiting` says of the partitions that have files and are not offered yet why."""

    def __init__(self, offers: Mapping[str, Offer], awaiting: Mapping[str, str] | None = None) -> None:
        super().__init__(offers)
        self.awaiting = dict(awaiting or {})


@dataclass(frozen=True)
class Delivery:
    """One partition as delivered, with the verdict on it.

    `table` holds the contract's columns in order and types; it is None when nothing was accepted (`refused`,
    `missing`, or `unread` where the storage failed, which is no verdict on what lies there) and empty on a closed day
    without a file. `rejected` holds the records that could not be split into columns: file_name, line_number (their
    position among the delivered records, which the accepted rows leave free), record_text, reason. `reason` and
    `warnings` read `code: text`. `signature` was taken before the first byte was read, so that a file that changes
    meanwhile is found to have changed. `columns` are those of the header, in order, with what their cells look like.
    """

    partition: str
    status: Status
    reason: str = ""
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""
    signature: str = ""
    files: tuple[str, ...] = ()
    table: pa.Table | None = None
    rejected: pa.Table | None = None
    columns: tuple[ColumnProfile, ...] = ()


class Source(Protocol):
    """Where a raw table's rows come from. Level-triggered: every call looks at what is there now."""

    def offers(self, first: str, last: str) -> Offers:
        """What is there for the partitions from `first` to `last`, both included. Lists once and reads no content."""
        ...

    def fingerprint(self, offer: Offer) -> str:
        """SHA-256 of the content that the offer names; equal content under equal names gives an equal value."""
        ...

    def deliver(self, partition: str) -> Delivery:
        """Reads one partition. TransientError when the storage fails; every fault of the data is a verdict."""
        ...

    def deliveries(self, partitions: Sequence[str]) -> Iterator[Delivery]:
        """`deliver` for each of many: lists once, and says `unread` where the storage failed instead of raising."""
        ...

    def is_closed(self, partition: str) -> bool:
        """Whether nothing is expected for this partition."""
        ...

    def strays(self) -> tuple[str, ...]:
        """One warning for everything in the source's place that belongs to no partition; empty when there is none."""
        ...

    def expected_rows(self, partitions: Sequence[str]) -> dict[str, int]:
        """A cheap guess of the rows each partition will deliver, for planning memory. Reads no content."""
        ...


def notice(code: Notice, text: str) -> str:
    """A warning as deliveries carry it."""
    return f"{code}: {text}"


def wrong_source(contract: Contract, error: ValidationError) -> ContractError:
    """What is wrong with the `source` of a contract, one line per problem."""
    return ContractError(
        f"{contract.path}: {'.'.join(map(str, ('source', *problem['loc'])))}: "
        + (
            "there is no such key; remove it or correct its name"
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        for problem in error.errors()
    )
