"""The platform's errors: permanent or transient by type, each saying what to do next.

Retries look at nothing but these types: a `TransientError` may go away by itself, a `PermanentError` will not; what
libraries raise gets its type in `classified`. Each kind of transient error is tried again in one place only, so that
attempts add up and do not multiply: a source where it is asked, an overtaken step where it is made, all others by the
step (docs/adr/0010). The command line prints `str(error)` and exits with `exit_code`; a traceback is shown for unknown
errors only.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar


class PlatformError(Exception):
    """Base of every error the platform raises on purpose. The message names the culprit and the next step."""

    exit_code = 1


class PermanentError(PlatformError):
    """Trying again without changing something gives the same error."""


class TransientError(PlatformError):
    """Trying again later may succeed: a service was down, a commit was overtaken."""

    tried_enough: ClassVar[bool] = False
    """Whether it was tried again already where it arose, so that its step is not."""


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

    tried_enough = True


class NoAnswerError(TransientError):
    """One request had no answer; `why` says what was seen instead of one."""

    def __init__(self, what: str, why: str) -> None:
        self.why = why
        super().__init__(f"{what}: {why}; run again")


class SourceDownError(TransientError):
    """A source gives no answer. No process on this data folder asks it before `again_at`."""

    tried_enough = True

    def __init__(self, place: str, why: str, since: datetime, again_at: datetime) -> None:
        self.place, self.why, self.since, self.again_at = place, why, since, again_at
        super().__init__(
            f"{place} is down since {since:%Y-%m-%d %H:%M:%S} UTC ({why}); "
            f"it is asked again from {again_at:%H:%M:%S} UTC"
        )


class SourceRefusedError(PermanentError):
    """A source answers and gives nothing: wrong credentials, no such bucket or folder."""


class DiskFullError(PermanentError):
    """There is no room to write. What was published before is untouched."""


class UnexpectedError(PermanentError):
    """An error that nothing here knows: a bug, or a library's new word. It would come again."""


_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "EINTR", "EIO",
        "EMFILE", "ENETDOWN", "ENETRESET", "ENETUNREACH", "ENFILE", "ENOMEM", "EPIPE", "ESTALE", "ETIMEDOUT",
    )
)  # fmt: skip
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING_NAMES = frozenset({"CommitFailedError", "TimeoutError", "ConnectionError", "MemoryError"})
"""Classes of libraries that are not imported for it, and of Python."""
_PASSING_WORDS = re.compile(r"database is locked|Could not set lock on file")
_FULL_WORDS = re.compile(r"No space left on device|database or disk is full|Disk quota exceeded")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def classified(error: Exception) -> PlatformError:
    """`error` as one of the platform's: itself when it is one, else what its kind amounts to."""
    if isinstance(error, PlatformError):
        return error
    text = f"{type(error).__name__}: {error}"
    said = _OS_ERROR.search(text)  # libraries in Rust say the number in their text
    number = error.errno if isinstance(error, OSError) and error.errno else int(said[1]) if said else 0
    if number in _FULL or _FULL_WORDS.search(text):
        return DiskFullError(f"{text}; free space below the data folder and run again: nothing published is lost")
    names = {kind.__name__ for kind in type(error).__mro__}
    if number in _PASSING or names & _PASSING_NAMES or _PASSING_WORDS.search(text):
        return TransientError(text)
    return UnexpectedError(text)


def one_line(error: BaseException, most: int = 300) -> str:
    """What a library says of an error, fit for one line: no colours, control characters or traces of its own."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    text = "".join(char if char.isprintable() else "?" for char in (lines or [type(error).__name__])[0])
    return text if len(text) <= most else f"{text[: most - 1]}…"


def may_pass(error: Exception) -> bool:
    """Whether what failed with `error` may succeed later as it stands: the machine or a service was at fault.

    A disk that is full is no reason to try again at once, but one to try again.
    """
    return isinstance(classified(error), TransientError | DiskFullError)
