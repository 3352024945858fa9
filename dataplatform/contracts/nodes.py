"""A place in a contract file: the value there, where that is in words, and the list its problems go to.

Reading must not stop at the first mistake, so a `Node` never raises: what is missing or of the wrong type reads as
empty, because the check of the file against the standard has already said so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_LABELS = ("name", "property", "id", "parameter", "table", "username", "value")
_SHOWN = 12


def suggest(word: str, known: Iterable[str]) -> str:
    """The fix for a word that is not among `known`: the nearest one, or all of them."""
    names = sorted(map(str, known))
    nearest = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    more = ", …" if len(names) > _SHOWN else ""
    return f"use one of {', '.join(names[:_SHOWN])}{more}" if names else "remove it"


class Node:
    """A value of the document. `where` reads like `schema[orders].properties[order_id].physicalType`."""

    def __init__(self, value: Any, where: str, problems: list[str]) -> None:
        self.value = value
        self.where = where
        self._problems = problems

    def __getitem__(self, key: str) -> Node:
        """The node under `key`; its value is None when there is none."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(value, f"{self.where}.{key}" if self.where else key, self._problems)

    def items(self) -> list[Node]:
        """The elements of a list, each placed by its name where it has one; nothing for any other value."""
        if not isinstance(self.value, list):
            return []
        return [
            Node(item, f"{self.where}[{_label(item, position)}]", self._problems)
            for position, item in enumerate(self.value)
        ]

    @property
    def is_set(self) -> bool:
        return self.value is not None

    @property
    def text(self) -> str:
        """The value when it is a text, stripped; otherwise an empty one."""
        return self.value.strip() if isinstance(self.value, str) else ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of a list of texts."""
        return tuple(item.text for item in self.items() if item.text)

    @property
    def mapping(self) -> dict[str, Any]:
        return dict(self.value) if isinstance(self.value, dict) else {}

    @property
    def flag(self) -> bool:
        return self.value is True

    def refuse(self, problem: str, fix: str) -> None:
        """Adds one line: where, what is wrong, what to do."""
        self._problems.append(f"{self.where}: {problem}; {fix}" if self.where else f"{problem}; {fix}")

    def demand(self, what: str) -> str:
        """The text here, which must not be empty: `what` says what should stand here."""
        if not self.text:
            self.refuse(f"{what} is missing", "write it")
        return self.text

    def choose(self, choices: Sequence[str], default: str) -> str:
        """The text here, one of `choices`; `default` when nothing stands here or something else does."""
        if not self.is_set:
            return default
        if self.value in choices:
            return str(self.value)
        self.refuse(f"{self.value!r} is not known", suggest(str(self.value), choices))
        return default

    def allow_keys(self, known: Iterable[str]) -> None:
        """Refuses every key that is not among `known`."""
        allowed = set(known)
        for key in self.mapping:
            if key not in allowed:
                self.refuse(f"unknown key {key!r}", suggest(str(key), allowed))


def locate(document: Any, path: Iterable[str | int]) -> str:
    """The words for a path of keys and positions, as `Node.where` would say it."""
    where, value = "", document
    for step in path:
        if isinstance(step, int):
            value = value[step]
            where = f"{where}[{_label(value, step)}]"
        else:
            value = value[step] if isinstance(value, dict) else None
            where = f"{where}.{step}" if where else step
    return where


def _label(item: Any, position: int) -> str:
    if isinstance(item, dict):
        for key in _LABELS:
            if isinstance(item.get(key), str):
                return str(item[key])
    return str(position)
