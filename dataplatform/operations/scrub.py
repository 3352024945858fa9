"""Secrets out of texts that leave the platform: credentials in addresses, tokens, values of secret variables.

For texts that somebody else wrote: errors of libraries, of services, of a table's function. What the platform itself
writes names no secret in the first place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

HIDDEN = "***"
LONGEST = 500
"""Characters of a text that are shown: more is not read, and may be a dump of something."""
_READ = 10_000
_SHORTEST = 6
"""A shorter value of a secret variable is not looked for: it would be found in words."""
_WORD = r"(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|signature|credentials?|authorization)"
_VALUE = r"(?:(?:bearer|basic)\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s,;&)]+)"
_NAMED = re.compile(rf"(?i)\b([\w.-]*{_WORD}[\w.-]*[\"']?\s*[=:]\s*){_VALUE}")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_LOGIN = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]+@")
_PAGE = re.compile(r"(?i)\b(https?://[^\s/?#'\"]+)[/?#][^\s'\")>]*")
_SECRET_VARIABLE = re.compile(rf"(?i){_WORD}|_key$|_dsn$|webhook")


def scrub(text: str, secrets: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> str:
    """`text` on one line, without secrets, and cut where it is very long.

    Of web addresses only the host stays, because a webhook's path is its secret. `secrets` are values known to be
    one; those of variables whose name says so are added.
    """
    text = text[:_READ]
    known = {value for name, value in environ.items() if _SECRET_VARIABLE.search(name)}
    for secret in sorted({*secrets, *known}, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _PAGE.sub(r"\1/…", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
