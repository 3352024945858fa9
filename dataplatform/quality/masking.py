"""Private values in what people read: reasons of quarantined rows, and what rules found.

The quarantine itself keeps whole rows, or nothing could be replayed; masking happens wherever a text is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dataplatform.contracts.model import Contract, Rule

MASK = "***"


def is_private(contract: Contract, rule: Rule) -> bool:
    """Whether a rule looks at a private column, so that the values it finds must not be shown."""
    return not contract.private_columns.isdisjoint(rule.columns)


def mask_reasons(contract: Contract, reasons: Iterable[str]) -> list[str]:
    """Reasons as they may be shown: `email:pattern: a@b` becomes `email:pattern: ***`.

    What a function wrote into `_row_errors` is free text. Of a table with private columns it is shown only when it
    has the form `code:column=…`: whole with a public column and no private one mentioned, without the value with a
    private one; else only its code is.
    """
    if not contract.private_columns:
        return list(reasons)
    private = {rule.name: is_private(contract, rule) for rule in contract.rules}
    return [_masked(contract, private, reason) for reason in reasons]


def _masked(contract: Contract, private: dict[str, bool], reason: str) -> str:
    name, separator, _ = reason.partition(": ")
    if separator and name in private:
        return f"{name}: {MASK}" if private[name] else reason
    code, separator, detail = reason.partition(":")
    column, quotes, _ = detail.partition("=")
    if column in contract.private_columns:
        return f"{code}:{column}={MASK}" if quotes else reason
    mentioned = re.search(rf"\b({'|'.join(map(re.escape, contract.private_columns))})\b", detail)
    if not separator or (column.strip() in contract.column_names and mentioned is None):
        return reason
    return f"{code}:{MASK}"
