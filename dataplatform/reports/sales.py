"""The sales report: figures, charts and verdicts on one page of HTML that needs nothing but a browser.

The page names the content it was made from in a `meta` element, so that it is only made again when that changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplatform.charts import MINUS, daily_svg, monthly_svg
from dataplatform.lake.platform_tables import QUALITY, RESULTS, PlatformTables
from dataplatform.reports.figures import Figures, read_figures
from dataplatform.reports.verdicts import Verdicts, read_verdicts
from dataplatform.warehouse.store import Warehouse

if TYPE_CHECKING:
    from dataplatform.project import Project

REPORT = "sales.html"
_TEMPLATE = Path(__file__).with_name("sales.html.j2")
_FULL = 0.6
"""From this share on, a cohort's cell is as strong as it gets: only the first month reaches it."""
_CONTENT = re.compile(r'<meta name="dataplatform:content" content="([^"]*)">')


def report_path(project: Project) -> Path:
    """Where the page is, or will be."""
    return project.settings.reports_dir / REPORT


def report_stale(project: Project) -> bool:
    """Whether the page was made from other content than the warehouse and the quality history hold now."""
    try:
        with report_path(project).open(encoding="utf-8") as page:
            found = _CONTENT.search(page.read(4096))
    except FileNotFoundError:
        return True
    return found is None or found[1] != _content(project, Warehouse(project).loaded().digest)


def write_report(project: Project) -> Path:
    """Writes `reports/sales.html` whole or not at all. Raises PermanentError when there is no warehouse."""
    figures = read_figures(project)
    page = render(figures, read_verdicts(project), _content(project, figures.digest))
    path = report_path(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _content(project: Project, digest: str) -> str:
    """Names what a page is made from: the warehouse's rows, the quality history, and the page's own template."""
    judged = PlatformTables(project.lake.root).extent(QUALITY, RESULTS)
    template = hashlib.sha256(_TEMPLATE.read_bytes()).hexdigest()[:8]
    return f"{digest}.{judged}.{template}"


def render(figures: Figures, verdicts: Verdicts | None, content: str) -> str:
    """The page as text; the same figures give the same page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(_FILTERS)
    charts = {name: Markup(svg) for name, svg in _charts(figures).items()}  # noqa: S704 - drawn here, from numbers alone
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(figures=figures, verdicts=verdicts, charts=charts, content=content)


def _charts(figures: Figures) -> dict[str, str]:
    if not figures.days:
        return {}
    days = [row["business_date"] for row in figures.days], [float(row["net_amount"]) for row in figures.days]
    months = (
        [row["month"] for row in figures.months],
        [float(row["gross_amount"]) for row in figures.months],
        [float(row["cancelled_amount"]) for row in figures.months],
    )
    charts = {}
    for size, narrow in (("wide", False), ("narrow", True)):
        charts[f"daily_{size}"] = daily_svg(*days, narrow=narrow)
        charts[f"monthly_{size}"] = monthly_svg(*months, narrow=narrow)
    return charts


def money(value: Decimal | None) -> str:
    """`£9,747,747.93`, a minus sign first where it is negative, an en dash for nothing; the ledger is in pounds."""
    if value is None:
        return "–"
    pence = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{MINUS if pence < 0 else ''}£{abs(pence):,.2f}"


def pounds(value: Decimal | None) -> str:
    """Money without pence, for tables that are read down."""
    if value is None:
        return "–"
    whole = value.quantize(Decimal(1), ROUND_HALF_UP)
    return f"{MINUS if whole < 0 else ''}{abs(whole):,}"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _percent(value: float | None, places: int = 0) -> str:
    return "" if value is None else f"{value * 100:.{places}f}%"


def _change(now: Any, before: Any) -> str:
    """`+12%` from before to now; nothing where there is no before."""
    if now is None or not before:
        return ""
    return f"{(float(now) / float(before) - 1) * 100:+.0f}%".replace("-", MINUS)


def _day(value: date) -> str:
    return f"{value:%a} {value.day} {value:%b %Y}"


def _short_day(value: date) -> str:
    return f"{value:%a} {value.day} {value:%b}"


def _minute(value: datetime | None) -> str:
    return "–" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _heat(value: float | None) -> str:
    """A cell's colour: the more of a cohort is active, the stronger, and never too strong for what stands on it."""
    if value is None:
        return ""
    if value >= _FULL:
        return "background:rgb(29 78 216 / .92);color:#fff"
    return f"background:rgb(29 78 216 / {value / _FULL * 0.6:.2f})"


_FILTERS: Mapping[str, Callable[..., str]] = {
    "money": money,
    "pounds": pounds,
    "number": _number,
    "percent": _percent,
    "change": _change,
    "day": _day,
    "short_day": _short_day,
    "minute": _minute,
    "heat": _heat,
}
