"""The job that keeps house, for the schedule and for Dagster's UI."""

# Dagster reads the annotation of a context itself: it must not be a text
import dagster as dg

from dataplatform.operations.maintain import maintain
from dataplatform.operations.maintain_text import maintenance_text
from dataplatform.project import Project

MAINTENANCE = "maintenance"


def build_maintenance_job(project: Project) -> dg.JobDefinition:
    """`maintenance`: what `dataplatform maintain --yes` does. Its run fails when a table could not be kept."""

    @dg.op(name="keep_house", description="Compacts, vacuums and prunes; changes no published row.")
    def keep_house(context: dg.OpExecutionContext) -> None:
        report = maintain(project.current(), context.instance, dry_run=False)
        context.log.info(maintenance_text(report))
        if report.failed:
            raise dg.Failure("\n".join(report.failed), allow_retries=False)

    @dg.job(name=MAINTENANCE, description="Keeps house: compaction, vacuum, Dagster's records past their retention.")
    def maintenance() -> None:
        keep_house()

    return maintenance
