"""A comparison of networks as JSON, as a table and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.comparison import HIGHER_IS_BETTER, TITLES, Floor, Run, Spread, Standing, behind, standings
from streams.step_cost import USERS, StepCost

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table


def as_dict(runs: Sequence[Run], floors: Mapping[str, Floor], costs: Mapping[str, StepCost]) -> dict[str, Any]:
    """Return all figures; step costs of networks, and of the GRU's step at serving as `served`."""
    networks = {
        standing.network: {
            "state_bytes": standing.state_bytes,
            "step_us": costs[standing.network]._asdict(),
            "cpu_s": standing.cpu_s._asdict(),
            "figures": {name: spread._asdict() for name, spread in standing.figures.items()},
        }
        for standing in standings(runs)
    }
    return {
        "networks": networks,
        "floors": {name: floor._asdict() for name, floor in floors.items()},
        "served_step_us": costs["served"]._asdict(),
        "runs": [run._asdict() for run in runs],
    }


def table(runs: Sequence[Run], floors: Mapping[str, Floor], costs: Mapping[str, StepCost], rows: int) -> "Table":
    """Return a column for each network and a row for each figure: the median of the seeds, and their range.

    The floor is the best of those that cost next to nothing; a median that is behind it is marked.
    """
    from rich.table import Table

    found = standings(runs)
    seeds = len({run.seed for run in runs})
    made = Table(title=f"{rows:,} validation rows, seeds: {seeds}, median (range)", title_justify="left")
    made.add_column("")
    for standing in found:
        made.add_column(standing.network, justify="right")
    made.add_column("floor", justify="right")
    for name, title in TITLES.items():
        if name in found[0].figures:
            floor = floors.get(name)
            cells = (_beside(standing.figures[name], name, floor) for standing in found)
            made.add_row(title, *cells, "" if floor is None else f"{floor.value:.4f} {floor.name}")
    made.add_row("training, s of processor", *(_shown(standing.cpu_s, 1) for standing in found))
    made.add_row("state of a user, bytes", *(f"{standing.state_bytes:,}" for standing in found))
    made.add_row("step of one user, us", *(f"{costs[standing.network].alone_us:,.0f}" for standing in found))
    made.add_row(
        f"step among {USERS} users, us", *(f"{costs[standing.network].together_us:,.2f}" for standing in found)
    )
    served = costs["served"]
    lost = {standing.network: _lost(standing, floors) for standing in found}
    said = [f"{network} is behind the floor: {'; '.join(titles)}" for network, titles in lost.items() if titles]
    step = (
        f"the GRU's step at serving, in integers: {served.alone_us:.1f} us alone, "
        f"{served.together_us:.2f} us among {USERS}"
    )
    made.caption, made.caption_justify = "\n".join([*said, step]), "left"
    return made


def _lost(standing: Standing, floors: Mapping[str, Floor]) -> list[str]:
    """Return in what the median of a network is behind the floor."""
    return [TITLES[name] for name, floor in floors.items() if behind(name, standing.figures[name].middle, floor)]


def _beside(spread: Spread, name: str, floor: Floor | None) -> str:
    shown = _shown(spread, 4)
    return f"[bold red]{shown}[/]" if floor is not None and behind(name, spread.middle, floor) else shown


def _shown(spread: Spread, digits: int) -> str:
    if spread.low == spread.high:
        return f"{spread.middle:,.{digits}f}"
    return f"{spread.middle:,.{digits}f} ({spread.low:,.{digits}f}-{spread.high:,.{digits}f})"


def plot(runs: Sequence[Run], costs: Mapping[str, StepCost], path: Path) -> None:
    """Draw quality against training time, bytes of state and the time of a step, as PNG, SVG or PDF by the name.

    Raises:
        OSError: it cannot be written.
        ValueError: no such kind of picture.
    """
    from streams.report.drawing import canvas

    found = standings(runs)
    across: dict[str, list[Spread]] = {
        "training, s of processor": [standing.cpu_s for standing in found],
        "state of a user, bytes": [Spread(*[float(standing.state_bytes)] * 3) for standing in found],
        f"step among {USERS} users, us": [Spread(*[costs[standing.network].together_us] * 3) for standing in found],
    }
    names = [name for name in ("loss", "action_log_loss", "recall_at_20", "time_log_loss") if name in found[0].figures]
    with canvas(3.4 * len(across), 2.6 * len(names)) as drawn:
        grid = drawn.subplots(len(names), len(across), squeeze=False)
        for row, name in zip(grid, names, strict=True):
            for axes, (label, places) in zip(row, across.items(), strict=True):
                _points(axes, places, found, name)
                if not label.startswith("training"):
                    axes.set_xscale("log")
                    axes.xaxis.set_major_formatter("{x:,.0f}")
                    axes.xaxis.set_minor_formatter("")
                axes.set_xlabel(label)
            better = "up" if name in HIGHER_IS_BETTER else "down"
            row[0].set_ylabel(f"{TITLES[name]}\n({better} is better)", fontsize=9)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(found))
        drawn.savefig(path, dpi=150)


def _points(axes: "Axes", places: Sequence[Spread], found: Sequence[Standing], name: str) -> None:
    from streams.report.drawing import COLOURS, MARKERS

    for k, (place, standing) in enumerate(zip(places, found, strict=True)):
        value = standing.figures[name]
        axes.errorbar(
            place.middle,
            value.middle,
            xerr=[[place.middle - place.low], [place.high - place.middle]],
            yerr=[[value.middle - value.low], [value.high - value.middle]],
            color=COLOURS[k],
            marker=MARKERS[k],
            linestyle="none",
            capsize=3,
            label=standing.network,
        )
