"""The platform's errors: permanent or transient by type, each saying what to do next.

Retries look at nothing but these types: a `TransientError` may go away by itself, a `PermanentError` will not.
The command line prints `str(error)` and exits with `exit_code`; a traceback is shown for unknown errors only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PlatformError(Exception):
    """Base of every error the platform raises on purpose. The message names the culprit and the next step."""

    exit_code = 1


class PermanentError(PlatformError):
    """Trying again without changing something gives the same error."""


class TransientError(PlatformError):
    """Trying again later may succeed: a service was down, a commit was overtaken."""


class ContractError(PermanentError):
    """A contract file is wrong. `problems` holds one line per problem: file, path in the file, problem, fix."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UnknownNameError(PermanentError):
    """A name given by a person does not exist; the message offers the nearest ones."""

    exit_code = 2

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(nearest)}?" if nearest else f"there are: {', '.join(names[:12])}"
        super().__init__(f"no {kind} called {name!r}; {hint}")


class ShapeError(PermanentError):
    """A candidate's columns or types are not those of its contract; nothing was staged or published."""


class UnfitValueError(ShapeError):
    """A value in a candidate fits no column or no slice. It concerns its own partition, not those beside it."""


class OvertakenError(TransientError):
    """Another run published this slice while this one was at work; the step must be run again from its inputs."""
