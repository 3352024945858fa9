"""Loaded by every Python process whose path begins here; in Dagster's daemon, and there alone, time runs faster.

The daemon looks at backfills every 30 seconds, at schedules every minute, and at `keep_current` every half minute.
Here it looks at all of them every second, and by its schedules' clock ten minutes pass in each. Everything else is as
it is. In the code server, what was tried in vain is tried again after seconds.
"""  # noqa: INP001 - found by its name, not imported from a package

import sys

if "dagster._daemon" in sys.orig_argv:
    import time
    from datetime import UTC, datetime

    from dagster._daemon import controller, sensor
    from dagster._scheduler import scheduler

    _BEGUN = time.time()

    def _timestamp() -> float:
        return _BEGUN + 600 * (time.time() - _BEGUN)

    vars(controller).update(DEFAULT_DAEMON_INTERVAL_SECONDS=1)
    vars(sensor).update(MIN_INTERVAL_LOOP_TIME=1, is_under_min_interval=lambda _state, _sensor: False)
    vars(scheduler).update(
        get_current_timestamp=_timestamp,
        get_current_datetime=lambda: datetime.fromtimestamp(_timestamp(), UTC),
        _get_next_scheduler_iteration_time=lambda begun: begun + 1,
    )

if "grpc" in sys.orig_argv:
    from datetime import timedelta

    from dataplatform.planner import patience

    patience.FIRST_DELAY = timedelta(seconds=2)
