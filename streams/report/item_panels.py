"""Pictures about the next item."""

from typing import TYPE_CHECKING

from streams.report.drawing import COLOURS, Panel, canvas, dodged, from_nothing, number, svg

if TYPE_CHECKING:
    from models.report.items import Items


def popularity(items: "Items", k: int) -> Panel:
    """Draw recall by popularity of the item that came, and what the lists hold beside what came."""
    from models.report.slices import TENTHS

    recall = items.recall_by_popularity
    with canvas(10.4, 4) as drawn:
        left, right = drawn.subplots(1, 2)
        labels = [f"{label}\n{rows:,}" for label, rows in zip(recall.labels, recall.rows, strict=True)]
        dodged(left, labels, recall.means)
        left.tick_params(axis="x", labelsize=8)
        left.set(xlabel="tenth of the items that came, and rows", ylabel=f"recall at {k}")
        from_nothing(left, (figure for figures in recall.means.values() for figure in figures))
        left.legend(fontsize=9)
        place, width = range(len(TENTHS)), 0.4
        lists = {"label": "of the places in the lists", "color": COLOURS[0]}
        right.bar([x - width / 2 for x in place], [100 * share for share in items.of_lists], width, **lists)
        came = {"label": "of what came", "color": COLOURS[4]}
        right.bar([x + width / 2 for x in place], [100 * share for share in items.of_targets], width, **came)
        right.set_xticks(place, TENTHS)
        right.grid(visible=False, axis="x")
        right.set(xlabel="tenth of the items, most popular first", ylabel="%")
        right.legend(fontsize=9)
        picture = svg(drawn)
    head = (
        f"{items.of_lists[0]:.0%} of the places in the lists go to tenth 1, and {items.of_targets[0]:.0%} of what came"
    )
    found = zip(recall.labels, recall.means["model"], strict=True)
    return Panel(
        "popularity",
        "By popularity of the item",
        picture,
        f"Recall at {k} of the model by tenth of the items: "
        + "; ".join(f"{label}: {number(figure)}" for label, figure in found)
        + f". {head}.",
        "Tenth 1 holds the items that came most often in what was learned, “new” those that never did and that no "
        f"model by ids can list. {head}: where the blue bar is much higher, the lists vary less than is wanted.",
        f"{sum(recall.rows):,} rows",
    )
