"""One call of the platform in this process, split into importing, loading, data work, serving and bookkeeping.

Usage: python bench/inside.py run|again DAY, with the platform's settings in the environment. `run` makes what is stale;
`again` makes every slice of DAY once more. Prints one JSON object of CPU seconds. Bookkeeping is what Dagster's run
costs beyond the work done inside its steps.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

STARTED = time.process_time()


def main(action: str, day: str) -> None:
    """Runs once and prints what each part took."""
    from dataplatform.cli import spare_collections

    spare_collections()  # as the command does
    from dataplatform.assets import slices
    from dataplatform.build import build_definitions
    from dataplatform.operations.instance import open_instance
    from dataplatform.operations.run import forced_slices, run_stale
    from dataplatform.planner import plan as planning
    from dataplatform.project import Project
    from dataplatform.reports import sales
    from dataplatform.settings import Settings
    from dataplatform.warehouse.store import Warehouse

    imported = time.process_time()
    project = Project.load(Settings.load())
    loaded = time.process_time()
    import great_expectations.core  # noqa: F401 - its import is a part of its own; the run would do it later

    expectations = time.process_time()
    spent: dict[str, float] = {}
    _timed(slices, "make_slices", spent, "data")
    _timed(planning, "make_plan", spent, "planning")
    _timed(Warehouse, "refresh", spent, "serving")
    _timed(sales, "write_report", spent, "serving")
    force = set()
    if action == "again":
        for contract in project.catalog:
            key = "all" if not contract.is_partitioned else day if contract.grain == "day" else f"{day[:7]}-01"
            force |= forced_slices(project, contract.name, [key])
    with open_instance(project.settings) as instance:
        summary = run_stale(project, build_definitions, instance, force=force)
    ended = time.process_time()
    slices_made = sum(len(outcome.slices) for outcome in summary.outcomes)
    rest = ended - expectations - sum(spent.values())
    print(
        json.dumps(
            {
                "import": round(imported - STARTED, 2),
                "load": round(loaded - imported, 2),
                "data": round(spent.get("data", 0), 2),
                "planning": round(spent.get("planning", 0), 2),
                "serving": round(spent.get("serving", 0), 2),
                "great_expectations": round(expectations - loaded, 2),
                "bookkeeping": round(rest, 2),
                "total": round(ended, 2),
                "warm": round(ended - expectations, 2),
                "slices": slices_made,
                "bookkeeping_ms_per_slice": round(rest / slices_made * 1000, 2) if slices_made else 0.0,
                "by_table": {o.table: round(o.seconds, 2) for o in summary.outcomes},
                "failed": summary.failed,
            }
        )
    )


def _timed(module: Any, name: str, spent: dict[str, float], label: str) -> None:
    """Adds the CPU time of `module.name` to `spent`, wherever it has been imported by name."""
    original = getattr(module, name)

    def timed(*arguments: object, **options: object) -> object:
        before = time.process_time()
        try:
            return original(*arguments, **options)
        finally:
            spent[label] = spent.get(label, 0.0) + time.process_time() - before

    for loaded in list(sys.modules.values()):
        if getattr(loaded, name, None) is original:
            setattr(loaded, name, timed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
