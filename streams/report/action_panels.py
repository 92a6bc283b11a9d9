"""Pictures about the next action: curves, what was taken for what, by what was known of the user."""

from typing import TYPE_CHECKING

from streams.report.drawing import COLOURS, GREY, MOST_ACTIONS, Panel, canvas, dodged, from_nothing, number, shown, svg

if TYPE_CHECKING:
    from models.evaluation.bootstrap import Figure
    from models.report.actions import Actions
    from models.report.groups import Groups
    from models.report.thresholds import Thresholds

_WRITTEN = 8  # actions whose counts find room in the squares


def most_frequent(actions: "Actions", most: int = MOST_ACTIONS) -> list[str]:
    """Return the actions that can be told from others, as many as can be shown, in the log's order."""
    by_count = sorted(actions.thresholds, key=lambda name: -actions.thresholds[name].came)[:most]
    return [name for name in actions.thresholds if name in by_count]


def of_all(drawn: int, there: int) -> str:
    """Return a remark where not all actions are drawn."""
    return f" Drawn are the {drawn} most frequent of {there} actions." if drawn < there else ""


def curves(actions: "Actions") -> Panel:
    """Draw ROC and precision-recall of each action."""
    names = most_frequent(actions)
    with canvas(9.6, 4.4) as drawn:
        roc, precision = drawn.subplots(1, 2)
        roc.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        for colour, name in zip(COLOURS, names, strict=False):
            points = actions.thresholds[name]
            roc.plot(points.false_alarms, points.recall, color=colour, label=_area(name, points.roc_auc))
            area = _area(name, points.average_precision)
            precision.plot(points.recall[1:], points.precision[1:], color=colour, label=area)
            precision.axhline(points.came / points.rows, color=colour, linestyle=":", linewidth=1)
        roc.set(xlabel="share of the others above the threshold", ylabel="share of the action above it", title="ROC")
        precision.set(
            xlabel="recall", ylabel="precision", title="Precision-recall", ylim=(-0.02, 1.02), xlim=(-0.02, 1.02)
        )
        for axes, what in ((roc, "area"), (precision, "average precision")):
            axes.legend(title=what, loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=9)
        picture = svg(drawn)
    return Panel(
        "curves",
        "Each action against the others",
        picture,
        "ROC and precision-recall curves. " + "; ".join(_words(name, actions.thresholds[name]) for name in names),
        "Each curve goes through all thresholds on the action's probability: the further from the dotted line (a guess "
        "by chance) the better; for rare actions the right picture tells more."
        + of_all(len(names), len(actions.thresholds)),
        f"{actions.table.about['rows']:,} rows",
    )


def _area(name: str, area: "Figure") -> str:
    return f"{shown(name)}  {number(area)}"


def _words(name: str, points: "Thresholds") -> str:
    return f"{name}: area {number(points.roc_auc)}, average precision {number(points.average_precision)}"


def confusion(actions: "Actions") -> Panel:
    """Draw what came and what was held most likely."""
    from models.report.asked import MODEL

    about, counts = actions.table.about, actions.table.predictors[MODEL].confusion
    names = [name for name in about["actions"] if about["came"][name]]
    kept = [about["actions"].index(name) for name in names]
    shares = [[row[k] / max(sum(row), 1) for k in range(len(row))] for row in (counts[k] for k in kept)]
    side = max(3.6, 0.42 * len(names) + 1.6)
    with canvas(max(side + 1.6, 0.42 * len(counts) + 3), side) as drawn:
        axes = drawn.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(counts)), [shown(name) for name in about["actions"]], rotation=45, ha="right")
        axes.set_yticks(range(len(names)), [shown(name) for name in names])
        axes.set(xlabel="held most likely", ylabel="came")
        axes.grid(visible=False)
        drawn.colorbar(image, label="share of the row")
        for y, row in enumerate(shares if len(names) <= _WRITTEN else ()):
            for x, share in enumerate(row):
                colour = "white" if share > 0.55 else "black"
                text = f"{share:.0%}\n{counts[kept[y]][x]:,}"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
        picture = svg(drawn)
    found = "; ".join(f"{name} {row[k]:.0%}" for name, k, row in zip(names, kept, shares, strict=True))
    return Panel(
        "confusion",
        "What was taken for what",
        picture,
        f"Confusion of the most likely action with the one that came. Share told right by action: {found}.",
        "A line is an action that came, a square the share of it for which the model held this action most likely: "
        "right is the diagonal. A rare action may be well told by its probability and never be the most likely one.",
        f"{about['rows']:,} rows",
    )


def by_history(groups: "Groups", what: str, name: str, reading: str, *, shares: bool) -> Panel:
    """Draw quality by the number of events before the row; shares from 0 on."""
    labels = [f"{label}\n{rows:,}" for label, rows in zip(groups.labels, groups.rows, strict=True)]
    with canvas(8, 3.6) as drawn:
        axes = drawn.subplots()
        dodged(axes, labels, groups.means)
        if shares:
            from_nothing(axes, (figure for figures in groups.means.values() for figure in figures))
        axes.set(xlabel="events of the user before, and rows", ylabel=what)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        picture = svg(drawn)
    model = zip(groups.labels, groups.means["model"], strict=True)
    return Panel(
        name,
        f"{what[0].upper()}{what[1:]} by length of the history",
        picture,
        f"{what} of the model by events before: " + "; ".join(f"{label}: {number(figure)}" for label, figure in model),
        f"{reading} Users with one event before are cold.",
        f"{sum(groups.rows):,} rows",
    )
