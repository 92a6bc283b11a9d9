"""The answers of several queries, joined by a label as Grafana's transformations do it."""

from dataclasses import dataclass

from deploy.dashboards.picture.shown import Shown


@dataclass(frozen=True, slots=True)
class Joined:
    """Names of the columns, the label's first; and rows: the label's value, the answers [columns - 1]."""

    columns: list[str]
    rows: list[tuple[str, list[float]]]


def joined(shown: Shown) -> Joined:
    """Return a row for each value of the label; NaN where a query does not answer for it."""
    organize = next(t["options"] for t in shown.panel["transformations"] if t["id"] == "organize")
    order = sorted(organize["indexByName"], key=organize["indexByName"].__getitem__)
    label, *values = order
    columns = [organize["renameByName"][each] for each in order]
    letters = [each.removeprefix("Value #") for each in values]
    found = {ref: {each.labels.get(label, ""): each.last for each in shown.answers[ref]} for ref in letters}
    keys = sorted({key for each in found.values() for key in each})
    return Joined(columns, [(key, [found[ref].get(key, float("nan")) for ref in letters]) for key in keys])
