"""`kill -9` at random moments, each followed by a new run that must end as if nothing had happened, cell by cell.

Twenty of them are a test; `make soak` makes a thousand, also of updates, rollbacks and backups:
`python -m dataplatform_tests.kills --kills 1000 --seed 1`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataplatform.operations.instance import open_instance
from dataplatform.operations.reconcile import reconcile_events
from dataplatform.project import Project
from dataplatform.settings import Settings
from dataplatform_tests import victims
from dataplatform_tests.small_shop import LATER_FILES, deliver, everything, make_shop, published, settings_of

KINDS = ("first run", "update", "rollback", "backup")
ROLLBACK = ("rollback", "orders", "--to", "1", "--yes")


class Kills:
    """The undisturbed shop below `folder`, and one disturbed copy after the other, each compared with it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self._chance = folder, random.Random(seed)  # noqa: S311 - moments, not secrets
        settings = make_shop(folder / "first")
        victims.seconds_of(settings, "--help", output=folder / "warm-up")
        self.seconds = {"first run": victims.seconds_of(settings, "run", output=folder / "first-output")}
        self.first = everything(Project.load(settings))
        shutil.copytree(folder / "first", folder / "later", symlinks=True)
        later = settings_of(folder / "later")
        deliver(folder / "later", LATER_FILES)
        self.seconds["update"] = victims.seconds_of(later, "run", output=folder / "later-output")
        self.later = everything(Project.load(later))
        self.seconds["backup"] = victims.seconds_of(
            later, "backup", str(folder / "backups"), output=folder / "backup-output"
        )
        self.seconds["rollback"] = self.seconds["backup"]

    def one(self, kind: str) -> None:
        """Kills one command of a kind and runs it again. Raises AssertionError when anything is otherwise."""
        settings, expected = self._prepare(kind), self.first if kind == "first run" else self.later
        shop = self.folder / "shop"
        words = {"rollback": ROLLBACK, "backup": ("backup", str(shop / "backups"))}.get(kind, ("run",))
        moment = self._chance.uniform(0.02, 1.0) * self.seconds[kind]
        while not victims.kill_after(settings, moment, *words, output=self.folder / "killed"):
            self._prepare(kind)  # it had ended by then: the same again, and sooner
            moment *= 0.7
        self._again(settings, words)
        if kind == "rollback":
            assert published(Project.load(settings))["orders"] == self.first["rows"]["orders"], kind
            self._again(settings, ("release", "orders"))
            self._again(settings, ("run",))
        if kind == "backup":
            shutil.rmtree(settings.data_dir)
            self._again(settings, ("restore", str(shop / "backups")))
            self._again(settings, ("run",))
        self._compare(settings, expected, f"{kind}, killed after {moment:.3f} s")

    def _prepare(self, kind: str) -> Settings:
        """The shop as it is before a command of this kind."""
        shop = self.folder / "shop"
        shutil.rmtree(shop, ignore_errors=True)
        if kind == "first run":
            return make_shop(shop)
        shutil.copytree(self.folder / ("first" if kind == "update" else "later"), shop, symlinks=True)
        if kind == "update":
            deliver(shop, LATER_FILES)
        return settings_of(shop)

    def _again(self, settings: Settings, words: Sequence[str]) -> None:
        again = victims.start(settings, *words, output=self.folder / "again")
        assert again.ends() == 0, again.printed

    def _compare(self, settings: Settings, expected: dict[str, Any], what: str) -> None:
        project = Project.load(settings)
        found = everything(project)
        assert found == expected, f"{what}: {[name for name in found if found[name] != expected[name]]} differ"
        with open_instance(settings) as instance:
            assert reconcile_events(project, instance) == 0, f"{what}: Dagster did not know all of it"


def main(arguments: Sequence[str] | None = None) -> None:
    """Kills as often as it is told to, and says every ten how far it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    given = parser.parse_args(arguments)
    _say(f"{given.kills} kills, seed {given.seed}; the shop is made once undisturbed …")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(Path(folder), given.seed)
        for number in range(1, given.kills + 1):
            kills.one(KINDS[number % len(KINDS)])
            if number % 10 == 0 or number == given.kills:
                spent = time.monotonic() - started
                left = f"{spent:.0f} s spent, about {spent / number * (given.kills - number):.0f} s left"
                _say(f"{number} of {given.kills} recovered as if undisturbed, {left}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
