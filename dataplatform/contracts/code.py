"""The Python code of a folder of tables: which files decide a table's rows, and under which names they are imported.

Reads source text only; importing and judging functions is `functions.py`.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class CodeFolder:
    """A folder of tables: the package's own, or any other, which gets a package name made from its path and content."""

    def __init__(self, root: Path, own_dir: Path, own_package: str) -> None:
        self.root = root.resolve()
        self._own_dir = own_dir
        self._own_package = own_package

    @cached_property
    def package(self) -> str:
        if self.root == self._own_dir:
            return self._own_package
        digest = hashlib.sha256(str(self.root).encode())
        for path in sorted(self.root.rglob("*.py")):
            digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return f"_tables_{digest.hexdigest()[:16]}"

    def module_name(self, path: Path) -> str:
        return ".".join((self.package, *path.resolve().relative_to(self.root).with_suffix("").parts))

    def sources_of(self, path: Path) -> list[str]:
        """The code that `path` runs from the tables folders, each file once: normal form, in order of import.

        Comments, docstrings and formatting are gone. `ast.unparse` and not `ast.dump`, whose form changes with
        Python's version and would make every table stale at an upgrade. Raises SyntaxError with the file's name.
        """
        seen: dict[Path, str] = {}
        waiting = [path.resolve()]
        while waiting:
            file = waiting.pop()
            if file in seen:
                continue
            seen[file], imports = _read(file.read_text(encoding="utf-8"), str(file))
            waiting.extend(path for each in imports for path in self._imported(each, file))
        return list(seen.values())

    def _imported(self, node: ast.Import | ast.ImportFrom, file: Path) -> Iterator[Path]:
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.Import):
            places = [self._absolute(name) for name in names]
        else:
            base = file.parents[node.level - 1] if node.level else None
            module = node.module or ""
            place = base.joinpath(*filter(None, module.split("."))) if base else self._absolute(module)
            places = [place, *(place / name for name in names if place)]
        for each in places:
            yield from self._files(each)

    def _absolute(self, module: str) -> Path | None:
        """Where an absolute import leads when it leads into the package's own tables; None elsewhere."""
        if module != self._own_package and not module.startswith(self._own_package + "."):
            return None
        return self._own_dir.joinpath(*module.removeprefix(self._own_package).strip(".").split("."))

    def _files(self, place: Path | None) -> Iterator[Path]:
        if place is None or not any(root == place or root in place.parents for root in (self.root, self._own_dir)):
            return
        for candidate in (place.with_name(place.name + ".py"), place / "__init__.py"):
            if candidate.is_file():
                yield candidate


@lru_cache(maxsize=256)
def _read(text: str, name: str) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """A module's normal form and its imports. Kept, because tables share their helpers."""
    tree = ast.parse(text, filename=name)
    imports = tuple(node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return ast.unparse(_without_docstrings(tree)), imports


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return tree
