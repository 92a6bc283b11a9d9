"""How many of the whole fell into which bucket of a histogram, over time."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm

from deploy.dashboards.picture.colours import FAINT
from deploy.dashboards.picture.shown import Shown
from deploy.dashboards.picture.units import shown as in_unit


def draw(shown: Shown) -> None:
    """Draw a column for each time, a row for each bucket; what is empty has no colour."""
    found = sorted((float(answer.labels["le"]), answer) for _, answer in shown.named)
    if not found:
        shown.say_empty()
        return
    times = found[-1][1].time_s
    cumulated = np.array([np.interp(times, each.time_s, np.nan_to_num(each.value)) for _, each in found])
    counts = np.diff(cumulated, axis=0, prepend=0)
    counts = np.where(counts > 1e-9, counts, np.nan)
    used = np.flatnonzero(~np.isnan(counts).all(1))
    if not len(used):
        shown.say_empty()
        return
    rows = slice(max(0, used[0] - 1), used[-1] + 2)
    edges, counts = [edge for edge, _ in found][rows], counts[rows]
    axes = shown.axes(right=64, bottom=28)
    axes.grid(visible=False)
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 1.0
    columns = np.append(times - half, times[-1] + half)
    turbo = ListedColormap(colormaps["turbo"](np.linspace(0.06, 0.98, 64)))
    norm = LogNorm(np.nanmin(counts), max(np.nanmax(counts), np.nanmin(counts) * 1.01))
    mesh = axes.pcolormesh(columns, np.arange(len(edges) + 1), counts, cmap=turbo, norm=norm, lw=0, rasterized=True)
    unit = shown.panel["options"]["yAxis"]["unit"]
    every = max(1, round(len(edges) / 8))
    ticks = [k for k in range(len(edges)) if k % every == 0]
    axes.set_yticks([k + 1 for k in ticks], ["more" if np.isinf(edges[k]) else in_unit(edges[k], unit) for k in ticks])
    axes.set_ylim(0, len(edges))
    shown.time_axis(axes)
    place = axes.get_position()
    scale = shown.figure.add_axes((place.x1 + 8 / shown.sheet.get_xlim()[1], place.y0, 0.005, place.height))
    bar = shown.figure.colorbar(mesh, cax=scale)
    bar.outline.set_visible(False)
    scale.tick_params(colors=FAINT, labelsize=7, length=0, which="both")
    scale.minorticks_off()
    low, high = norm.vmin or 1.0, norm.vmax or 1.0
    marks = [low, (low * high) ** 0.5, high]
    bar.set_ticks(marks, labels=[in_unit(float(f"{each:.2g}"), "short") for each in marks])
