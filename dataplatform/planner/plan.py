"""What is stale now, slice by slice, and why: read from the lake and the sources, never from Dagster's log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from dataplatform.contracts.changes import classify
from dataplatform.contracts.model import WHOLE, Contract, Grain, Input
from dataplatform.errors import SourceDownError, SourceRefusedError, TransientError
from dataplatform.lake.attempts import Attempt, read_attempts
from dataplatform.lake.platform_tables import PlatformTables
from dataplatform.planner.lookups import hit_partitions
from dataplatform.planner.patience import Waiting, waiting
from dataplatform.planner.situation import Situations
from dataplatform.planner.unrecorded import unrecorded_partitions
from dataplatform.planner.windows import EVERYTHING, partitions_read, required, revisions_read
from dataplatform.quality.history import BLOCKED, QUARANTINED

if TYPE_CHECKING:
    from dataplatform.lake.holds import Hold
    from dataplatform.lake.records import InputRevisions, Slice
    from dataplatform.lake.table import Opened
    from dataplatform.project import Project
    from dataplatform.sources.base import Offer, Source

Renewal = tuple[tuple[int, int], dict[str, "InputRevisions"]]
"""(order of the record's entry that was looked at, revisions that it may move on to)."""
SliceName = tuple[str, str]
"""(table, partition)."""
LOST = "published, but its record is lost"


@dataclass(frozen=True, slots=True)
class StaleSlice:
    """One slice that must be made again.

    `after` are stale slices it reads; `certain` holds when it must be made whatever those turn out to publish (when
    not, an equal result of theirs leaves it as it is). `signature` is that of what is delivered for a raw slice.
    """

    table: str
    partition: str
    reason: str
    certain: bool
    after: frozenset[SliceName] = frozenset()
    signature: str = ""


@dataclass(frozen=True, slots=True)
class HeldTable:
    """A table that nothing publishes, and its partitions that would be made if it were released."""

    hold: Hold
    waiting: tuple[str, ...]


@dataclass
class Plan:
    """The stale slices by table (tables in topological order), and what stands in the way of others."""

    stale: dict[str, dict[str, StaleSlice]] = field(default_factory=dict)
    missing_files: dict[str, list[str]] = field(default_factory=dict)
    """Raw partitions of open days that are over and for which nothing was delivered: a warning, and nothing is done."""
    awaiting: dict[str, dict[str, str]] = field(default_factory=dict)
    """Raw table -> partition -> which marker its files wait for: nothing is done until it comes."""
    down: dict[str, str] = field(default_factory=dict)
    """Raw tables whose source gives nothing now, and why. Nothing of them is planned; the other tables go on."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """Tables whose contract changed in a way that needs `dataplatform rebuild`; they and what reads them wait."""
    held: dict[str, HeldTable] = field(default_factory=dict)
    """Tables on hold: neither stale nor refused. What reads them goes on with their rows as they are."""
    waiting: dict[str, dict[str, Waiting]] = field(default_factory=dict)
    """Stale slices that were tried in vain and are left alone for now, by table; only where `patient_at` is given."""
    renewable: dict[str, dict[str, Renewal]] = field(default_factory=dict)
    """table -> partition -> inputs whose new revision was found not to concern the slice: only the record moves on."""

    def slices(self) -> Iterable[StaleSlice]:
        for slices in self.stale.values():
            yield from slices.values()

    def slices_of(self, table: str) -> list[str]:
        """The stale partitions of one table, in order."""
        return list(self.stale.get(table, {}))

    def __len__(self) -> int:
        return sum(len(slices) for slices in self.stale.values())


def make_plan(
    project: Project,
    *,
    select: Collection[str] | None = None,
    first: str = "",
    last: str = "9999",
    failed: Collection[SliceName] = (),
    patient_at: datetime | None = None,
) -> Plan:
    """Plans every table (or those in `select`) for partitions of [first, last]. `failed` slices are left out.

    Tables that are not selected count as they are published; unpartitioned tables belong to every range. At
    `patient_at` (aware; None for everything stale) what was tried in vain waits, as `patience.py` says.
    """
    planner = _Planner(project, frozenset(failed), patient_at)
    for contract in project.catalog:
        if select is None or contract.name in select:
            planner.plan_table(contract, [k for k in project.keys(contract) if _within(contract, k, first, last)])
    return planner.plan


def _within(contract: Contract, key: str, first: str, last: str) -> bool:
    if contract.grain is Grain.NONE:
        return True
    if contract.grain is Grain.MONTH:
        return first[:7] <= key[:7] <= last[:7] or (not first and key <= last)
    return first <= key <= last


class _Planner:
    def __init__(self, project: Project, failed: frozenset[SliceName], patient_at: datetime | None) -> None:
        self.project = project
        self.failed = failed
        self.patient_at = patient_at
        self.plan = Plan()
        self._situations = Situations(project, self.opened)
        self._attempts: dict[str, Mapping[str, Attempt]] = {}
        self._opened: dict[str, Opened] = {}
        self._held: dict[str, Mapping[tuple[str, str], int]] = {}
        self._unrecorded: dict[str, frozenset[str]] = {}

    def opened(self, table: str) -> Opened:
        if table not in self._opened:
            self._opened[table] = self.project.lake.table(self.project.catalog.get(table)).open()
        return self._opened[table]

    def plan_table(self, contract: Contract, keys: Sequence[str]) -> None:
        hold, shape = self.opened(contract.name).hold, self.opened(contract.name).state.shape
        if hold is not None:
            self.plan.held[contract.name] = HeldTable(hold, ())
        refusals = [] if shape is None else [c.text for c in classify(shape, contract) if c.kind == "rebuild"]
        if refusals:
            self.plan.refused[contract.name] = refusals
            return
        if any(wanted.table in self.plan.refused for wanted in contract.inputs):
            return
        made = self._delivered(contract, keys) if contract.source is not None else self._derived(contract, keys)
        if hold is not None:
            self.plan.held[contract.name] = HeldTable(hold, tuple(slice_.partition for slice_ in made))
            self.plan.renewable.pop(contract.name, None)
            return
        for slice_ in made:
            # entered one by one: a table that reads its own previous partition meets its own stale slices
            if (slice_.table, slice_.partition) not in self.failed and not self._waits(contract, slice_):
                self.plan.stale.setdefault(contract.name, {})[slice_.partition] = slice_

    def _waits(self, contract: Contract, slice_: StaleSlice) -> bool:
        """Whether the slice was tried in vain and is to wait; then the plan says so.

        That an input of it will be made is no reason to try: should it come out different, the next plan tries.
        """
        if self.patient_at is None:
            return False
        if contract.name not in self._attempts:
            self._attempts[contract.name] = read_attempts(self.opened(contract.name).table.folder)
        attempt = self._attempts[contract.name].get(slice_.partition)
        published = self.opened(contract.name).state.slices.get(slice_.partition)
        if attempt is None or (published is not None and published.sequence > attempt.at):
            return False
        situation = self._situations.of(contract, slice_.partition, slice_.signature, compared=attempt.is_compared)
        found = waiting(attempt, situation, self.patient_at)
        if found is not None:
            self.plan.waiting.setdefault(contract.name, {})[slice_.partition] = found
        return found is not None

    # raw tables: what is offered against what is recorded as read

    def _delivered(self, contract: Contract, keys: Sequence[str]) -> Sequence[StaleSlice]:
        """The stale slices of a raw table; none while its source gives nothing, for it would be asked for each."""
        try:
            return list(self._raw(contract, keys))
        except (SourceRefusedError, TransientError) as error:
            self.plan.down[contract.name] = str(error)
            self.plan.missing_files.pop(contract.name, None)
            return []

    def _raw(self, contract: Contract, keys: Sequence[str]) -> Iterable[StaleSlice]:
        if not keys:
            return
        source = self.project.source(contract)
        offers = source.offers(keys[0], keys[-1])
        if offers.awaiting:
            self.plan.awaiting[contract.name] = offers.awaiting
        slices = self.opened(contract.name).state.slices
        for key in keys:
            offer, entry = offers.get(key), slices.get(key)
            if offer is not None:
                reason = self._offer_reason(contract, key, offer, source.fingerprint)
            else:
                reason = "" if entry is not None else self._reason_without_offer(contract, key, source)
            if reason:
                signature = "" if offer is None else offer.signature
                yield StaleSlice(contract.name, key, reason, certain=True, signature=signature)

    def _reason_without_offer(self, contract: Contract, key: str, source: Source) -> str:
        if contract.name not in self._unrecorded:
            self._unrecorded[contract.name] = unrecorded_partitions(self.project, self.opened(contract.name))
        if key in self._unrecorded[contract.name]:
            return LOST
        if key in self.plan.awaiting.get(contract.name, ()):
            return ""
        if source.is_closed(key):
            return "closed day, not yet recorded"
        if self.project.has_ended(key):
            self.plan.missing_files.setdefault(contract.name, []).append(key)
        return ""

    def _offer_reason(self, contract: Contract, key: str, offer: Offer, digest: Callable[[Offer], str]) -> str:
        reason = self._own_reason(contract, key, never="new delivery")
        if reason:
            return reason
        read = self.opened(contract.name).state.slices[key].source
        if read.get("signature") != offer.signature and self._is_other(offer, read.get("fingerprint", ""), digest):
            return "delivery changed"
        return self._quarantine_reason(contract, key)

    @staticmethod
    def _is_other(offer: Offer, fingerprint: str, digest: Callable[[Offer], str]) -> bool:
        """Whether the content differs. One that cannot be read while its source answers is left to its own slice."""
        try:
            return fingerprint != digest(offer)
        except SourceDownError:
            raise
        except TransientError:
            return True

    def _own_reason(self, contract: Contract, key: str, never: str) -> str:
        """Why a slice must be made whatever it reads: it is not there, or was made otherwise than it would be now."""
        state = self.opened(contract.name).state
        if key not in state.slices:
            return LOST if key in state.unknown else never
        return self._definition_reason(contract, state.slices[key])

    def _quarantine_reason(self, contract: Contract, key: str) -> str:
        """Rows of an attempt that failed stand in quarantine, though what the attempt was made from is gone again."""
        if contract.name not in self._held:
            self._held[contract.name] = PlatformTables(self.project.lake.root).held(contract.name)
        held, entry = self._held[contract.name], self.opened(contract.name).state.slices.get(key)
        kept_out = 0 if entry is None else entry.quarantined
        is_other = (key, BLOCKED) in held or held.get((key, QUARANTINED), 0) != kept_out
        return "its quarantine is not that of the published rows" if is_other else ""

    def _definition_reason(self, contract: Contract, entry: Slice) -> str:
        project = self.project
        if entry.is_of_unknown_making:
            return "rolled back"
        if entry.code != project.code_of(contract):
            return "code changed"
        if entry.contract != project.contract_of(contract):
            return "contract changed"
        bound = project.settings_of(contract)
        changed = [name for name in {**bound, **entry.settings} if bound.get(name) != entry.settings.get(name)]
        return f"setting changed: {', '.join(sorted(changed))}" if changed else ""

    # derived tables: what was read against what is published now

    def _derived(self, contract: Contract, keys: Sequence[str]) -> Iterable[StaleSlice]:
        untouched = self._untouched(contract)
        for key in keys:
            slice_ = self._derived_slice(contract, key, untouched)
            if slice_ is not None:
                yield slice_

    def _derived_slice(
        self, contract: Contract, key: str, untouched: Mapping[str, Collection[str]]
    ) -> StaleSlice | None:
        entry = self.opened(contract.name).state.slices.get(key)
        after: set[SliceName] = set()
        changed: list[str] = []
        renewed: dict[str, InputRevisions] = {}
        grows = False
        for wanted in contract.inputs:
            read = self._reads(contract, wanted, key)
            state = self.opened(wanted.table).state
            stale = self.plan.stale.get(wanted.table, {})
            pending = {partition for partition in read if partition in stale}
            available = {p for p in read if p in state.revisions} | pending
            if not required(wanted, key, read) <= available:
                return None
            if not available and wanted.window.kind in ("same", "all"):
                return None
            after |= {(wanted.table, p) for p in pending}
            if entry is None:
                continue
            before = entry.inputs.get(wanted.parameter, {})
            now = revisions_read(wanted, read, state.revisions)
            grows = grows or _grows(before, now, pending - state.revisions.keys())
            if not _is_changed(before, now, pending):
                continue
            if key in untouched.get(wanted.parameter, ()):
                renewed[wanted.parameter] = now
            else:
                changed.append(_describe_change(wanted, before, now))
        after |= self._unpublished_references(contract)
        reason = self._own_reason(contract, key, never="never published") or "; ".join(changed)
        reason = reason or self._quarantine_reason(contract, key)
        if not reason and after:
            upstream = sorted({table for table, _ in after})
            return StaleSlice(contract.name, key, f"{', '.join(upstream)} will be made", grows, frozenset(after))
        if reason:
            return StaleSlice(contract.name, key, reason, certain=True, after=frozenset(after))
        if renewed and entry is not None:
            self.plan.renewable.setdefault(contract.name, {})[key] = (entry.order, renewed)
        return None

    def _unpublished_references(self, contract: Contract) -> set[SliceName]:
        """Stale slices of tables that relationships point at and that nobody has published yet."""
        return {
            (table, partition)
            for table in contract.references
            if not self.opened(table).state.slices
            for partition in self.plan.stale.get(table, {})
        }

    def _reads(self, contract: Contract, wanted: Input, key: str) -> list[str]:
        upstream = self.project.catalog.get(wanted.table)
        return partitions_read(contract, wanted, upstream, key, self.project.keys(upstream))

    def _untouched(self, contract: Contract) -> dict[str, frozenset[str]]:
        """Per lookup input: the partitions that hold none of the members changed since they read it."""
        found: dict[str, frozenset[str]] = {}
        for wanted in contract.inputs:
            if wanted.lookup is not None:
                hit = hit_partitions(self.project, self.opened(contract.name), self.opened(wanted.table), wanted)
                if hit is not None:
                    found[wanted.parameter] = frozenset(self.opened(contract.name).state.slices) - hit
        return found


def _is_changed(before: InputRevisions, now: InputRevisions, pending: Collection[str]) -> bool:
    """Whether an input is not what was read, whatever its pending partitions come to.

    They may come to what they were: after a crash, or when an older copy was restored.
    """
    if EVERYTHING in before or EVERYTHING in now:
        return before != now and not pending
    return any(before.get(p) != now.get(p) for p in {**before, **now} if p not in pending)


def _grows(before: InputRevisions, now: InputRevisions, new: Collection[str]) -> bool:
    """Whether pending partitions that nobody has published add to what was read, whatever they come to."""
    if EVERYTHING in before or EVERYTHING in now:
        return before == now and bool(new)
    return any(p not in before for p in new)


def _describe_change(wanted: Input, before: InputRevisions, now: InputRevisions) -> str:
    if EVERYTHING in now or EVERYTHING in before:
        return f"{wanted.table} changed"
    partitions = sorted(p for p in {**before, **now} if before.get(p) != now.get(p))
    if partitions == [WHOLE]:
        return f"{wanted.table} changed"
    shown = ", ".join(partitions[:3]) + (f" and {len(partitions) - 3} more" if len(partitions) > 3 else "")
    return f"{wanted.table} changed: {shown}"
