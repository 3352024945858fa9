"""What the looks look at: the settings and, as far as they can be had, the project, its plan and Dagster's instance."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dataplatform.errors import PlatformError
from dataplatform.settings import CHECKOUT, utc_now

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

    from dataplatform.planner.plan import Plan
    from dataplatform.project import Project
    from dataplatform.settings import Settings


Build = Callable[["Project"], "Definitions"]
"""Assembles the graph of a project; `dataplatform.build.build_definitions` is the one there is."""


class NotThereError(Exception):
    """Something that a look needs is not there. The look is left out: another one tells of what is missing."""


@dataclass
class Patient:
    """Everything is opened when a look first asks for it. `given` is None when the settings are refused.

    `folder`, `environ` and `lock` are the working folder, the environment and the lock of the packages.
    """

    given: Settings | None
    build: Build
    opened: ExitStack
    refusal: str = ""
    clock: Callable[[], datetime] = utc_now
    folder: Path = field(default_factory=Path.cwd)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    lock: Path = CHECKOUT / "requirements.txt"

    @property
    def settings(self) -> Settings:
        if self.given is None:
            raise NotThereError("the settings are refused")
        return self.given

    @cached_property
    def now(self) -> datetime:
        return self.clock()

    @cached_property
    def project(self) -> Project:
        """The project with its functions."""
        from dataplatform.project import Project

        try:
            return Project.load(self.settings)
        except PlatformError:
            raise NotThereError("the definitions do not load") from None

    @cached_property
    def contracts(self) -> Project:
        """The project by its contracts alone, which may be read where its functions are not."""
        from dataplatform.project import Project

        try:
            return Project.of_contracts(self.settings)
        except PlatformError:
            raise NotThereError("the contracts cannot be read") from None

    @cached_property
    def plan(self) -> Plan:
        """What is stale now, without what was tried in vain and waits."""
        from dataplatform.planner.plan import make_plan

        return make_plan(self.project, patient_at=self.now)

    @cached_property
    def instance(self) -> DagsterInstance:
        """The instance as it is: unlike commands that work with it, this makes none and brings nothing up to date."""
        from dagster import DagsterInstance

        home = self.settings.dagster_home
        if not (home / "dagster.yaml").is_file():
            raise NotThereError("there is no instance yet")
        try:
            return self.opened.enter_context(DagsterInstance.from_config(str(home)))
        except Exception as error:
            raise NotThereError("the instance cannot be opened") from error
