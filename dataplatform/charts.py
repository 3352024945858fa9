"""Charts by matplotlib: SVG for the report's page, and a small PNG for a table's page in Dagster's UI.

Figures are drawn without pyplot, which keeps global state and costs another second to import.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dataplatform.quality.results import Course

INK, MUTED, GRID, BAR, LINE, BAD = "#1f2933", "#64707d", "#e4e8ec", "#a9c7ee", "#1d4ed8", "#c2410c"
MINUS = "\N{MINUS SIGN}"
MEAN_DAYS = 7
_SHOWN_DAYS = 400
"""Days in the small chart, the newest ones: it is stored with every run, and must not grow with the years."""
_COLOURS = 48
_STYLE: Mapping[Any, Any] = {
    "font.size": 10,
    "font.family": ["sans-serif"],
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "svg.fonttype": "none",  # text stays text: a page that is searched, read aloud and small
    "svg.hashsalt": "dataplatform",
}
_FAMILY = re.compile(r"font-family: [^;\"]+;? ?")
_PLACES = re.compile(r"(\d\.\d)\d{2,}")
_IDS = re.compile(r' id="(?:figure|axes|patch|line2d|text|matplotlib\.axis|xtick|ytick|legend|PathCollection)_\d+"')


def chart_for(contract_name: str, table: pa.Table) -> str | None:
    """Markdown with a chart of a table's rows, for its page in Dagster's UI; None where there is none to draw.

    The picture travels inside the text, as a PNG: the UI shows no SVG from a data URI.
    """
    draw = _CHARTS.get(contract_name)
    return None if draw is None or not table.num_rows else draw(table)


def _daily_sales(table: pa.Table) -> str:
    columns = ("business_date", "net_amount")
    rows = sorted(table.select(columns).to_pylist(), key=lambda row: row["business_date"])
    rows = rows[-_SHOWN_DAYS:]
    days, net = [row["business_date"] for row in rows], [float(row["net_amount"]) for row in rows]
    with _styled():
        figure = _figure(7.2, 2.2)
        draw_daily(figure, days, net, trailing_means(days, net))
        content = _png(figure)
    title = f"Net sales per day in GBP, {days[0]} to {days[-1]}, and their {MEAN_DAYS}-day mean"
    return f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})"


def course_chart(course: Course) -> str:
    """Markdown with a small picture of a measure over its days, in the band that was expected, the last one marked."""
    with _styled():
        figure = _figure(5.2, 1.6)
        axes = _axes(figure)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")
        days: Any = [date.fromisoformat(day) for day in course.days]
        axes.fill_between(days, course.low, course.high, color=GRID, label="expected")
        axes.plot(days, course.values, color=LINE, linewidth=1.2, marker=".", markersize=3, label=course.title)
        axes.plot(days[-1:], course.values[-1:], color=BAD, marker="o", markersize=5)
        _date_axis(axes)
        _legend(figure, axes)
        content = _png(figure)
    title = f"{course.title} until {course.days[-1]}, and what was expected of each day"
    return f"![{title}](data:image/png;base64,{base64.b64encode(content).decode()})"


_CHARTS: Mapping[str, Callable[[Any], str]] = {"daily_sales": _daily_sales}


def trailing_means(days: Sequence[date], values: Sequence[float]) -> list[float]:
    """The mean over the days with sales among the last seven, for each day; `days` in order."""
    means, start = [], 0
    for end, day in enumerate(days):
        while days[start] <= day - timedelta(days=MEAN_DAYS):
            start += 1
        means.append(sum(values[start : end + 1]) / (end + 1 - start))
    return means


def daily_svg(days: Sequence[date], net: Sequence[float], *, narrow: bool) -> str:
    """Net of each day as bars, and its seven-day mean as a line."""
    with _styled():
        figure = _figure(*((4.2, 2.9) if narrow else (10.4, 3.1)))
        draw_daily(figure, days, net, trailing_means(days, net))
        return _svg(figure, "Net sales per day and their seven-day mean")


def monthly_svg(months: Sequence[date], gross: Sequence[float], cancelled: Sequence[float], *, narrow: bool) -> str:
    """Gross of each month as bars, with what was cancelled of it."""
    with _styled():
        figure = _figure(*((4.2, 2.7) if narrow else (10.4, 2.7)))
        axes = _axes(figure)
        places = list(range(len(months)))
        axes.bar(places, gross, width=0.72, color=BAR, label="gross")
        axes.bar(places, [-value for value in cancelled], width=0.72, color=BAD, label="cancelled")
        step = 3 if narrow else 1
        labels = [
            f"{month:%b}\n{month:%Y}" if month.month == 1 or not n else f"{month:%b}" for n, month in enumerate(months)
        ]
        axes.set_xticks(places[::step], labels[::step])
        axes.axhline(0, color=MUTED, linewidth=0.6)
        _legend(figure, axes)
        return _svg(figure, "Gross sales and cancellations per month")


def draw_daily(figure: Figure, days: Sequence[date], net: Sequence[float], means: Sequence[float]) -> None:
    """Bars are one compound path: a path per day makes the picture four times larger."""
    import matplotlib.dates
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    dates: Any = matplotlib.dates  # its functions carry no annotations
    axes = _axes(figure)
    places = [float(dates.date2num(day)) for day in days]
    bars = [
        Path([(x - 0.4, 0), (x + 0.4, 0), (x + 0.4, y), (x - 0.4, y), (x - 0.4, 0)], closed=True)
        for x, y in zip(places, net, strict=True)
    ]
    axes.add_patch(PathPatch(Path.make_compound_path(*bars), facecolor=BAR, edgecolor="none", label="net per day"))
    line = [(x, y) for x, y in zip(places, means, strict=True)]
    gaps = [n for n in range(1, len(days)) if days[n] - days[n - 1] > timedelta(days=MEAN_DAYS)]
    for gap in reversed(gaps):  # no line across weeks in which the shop was closed
        line.insert(gap, (places[gap], math.nan))
    axes.plot(*zip(*line, strict=True), color=LINE, linewidth=1.6, label=f"{MEAN_DAYS}-day mean")
    axes.set_xlim(places[0] - 1, places[-1] + 1)
    low, high = min(0.0, *net), max(0.0, *net)
    axes.set_ylim(low * 1.08, high * 1.08 or 1)
    _date_axis(axes)
    _legend(figure, axes)


def _date_axis(axes: Axes) -> None:
    import matplotlib.dates

    dates: Any = matplotlib.dates  # its functions carry no annotations
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))


def _styled() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(dict(_STYLE))


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _axes(figure: Figure) -> Axes:
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.yaxis.set_major_formatter(lambda value, _: money_tick(value))
    return axes


def _legend(figure: Figure, axes: Axes) -> None:
    """Above the plot, where it hides no data."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False, handlelength=1.2)


def money_tick(value: float) -> str:
    """`£40k`, `£1.5M`, with a minus sign where it belongs: pounds as an axis shows them."""
    sign, size = (MINUS if value < 0 else ""), abs(value)
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{sign}£{size / unit:.1f}".removesuffix(".0") + name
    return f"{sign}£{size:.0f}"


def _png(figure: Figure) -> bytes:
    """A picture of few colours, a third of the size it has with all of them."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)  # its methods carry no annotations
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(_COLOURS)
    content = io.BytesIO()
    picture.save(content, format="png", optimize=True)
    return content.getvalue()


def _svg(figure: Figure, title: str) -> str:
    """The figure as an element of a page: as wide as its place, without what only files of their own need."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = content.getvalue()
    text = _FAMILY.sub("", _IDS.sub("", _PLACES.sub(r"\1", text[text.index("<svg") :])))
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]+"', head)
    rest = re.sub(r"\s*<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    opening = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img">'
    return f"{opening}<title>{title}</title>{rest}"
