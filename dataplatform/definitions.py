"""Dagster's entry to the platform: `dagster dev`, `dagster asset materialize -m dataplatform.definitions …`."""

from dataplatform.build import build_definitions
from dataplatform.project import Project
from dataplatform.settings import Settings

defs = build_definitions(Project.load(Settings.load()))
