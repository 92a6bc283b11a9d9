"""What moved a prediction of a user, and what is known of the user: as JSON and as tables."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from models.churn import BANDS, as_of_ms
from models.influence import CHURN, current, influence, predicted
from models.item_index import item_hashes
from models.left_out import ring_steps
from models.model_directory import LEAVE, OUTCOMES
from models.predictor import Predictor
from models.state import ACTIONS, RESOLUTIONS
from models.windows import counts
from schemas.outputs import horizon_label
from streams.errors import SettingsError
from streams.one_user import UserRow

ITEM = "item:"
"""Before the id of an item that is to be predicted."""

TARGETS = f"{', '.join(OUTCOMES)}, {CHURN}, {ITEM}ID"

_BAR = 12
_DECIMALS = 6


def check_target(target: str, model: Predictor) -> None:
    """Make sure that the model can predict this.

    Raises:
        SettingsError: it cannot.
    """
    if target.startswith(ITEM):
        check_items([target.removeprefix(ITEM)], "--target", model)
    elif target not in (*OUTCOMES, CHURN):
        raise SettingsError(f"--target {target}: give one of {TARGETS}")


def check_items(items: Sequence[str], option: str, model: Predictor) -> None:
    """Make sure that the model knows items.

    Raises:
        SettingsError: it does not.
    """
    unknown = sorted(set(items) - set(model.items))
    if unknown:
        like = f", such as {', '.join(model.items[:3])}" if model.items else ""
        raise SettingsError(
            f"{option}: the model does not know item {', '.join(unknown)}; it knows {len(model.items):,}{like}"
        )


def explained(who: UserRow, model: Predictor, target: str) -> dict[str, Any]:
    """Return the prediction of a target, and how each event of the ring, oldest first, moved it."""
    item = item_hashes([target.removeprefix(ITEM)]) if target.startswith(ITEM) else None
    found = influence(who.row, model, item)
    events, _ = ring_steps(who.row)
    rest = found.without.of(target).reshape(found.held.shape)[0]
    change, odds = found.change(target)[0], found.log_odds(target)[0]
    listed = [
        {
            "ts_ms": int(events.ts_ms[0, k]),
            "action": ACTIONS[events.action[0, k]],
            "item_id": who.item(int(events.item[0, k])),
            "without": _round(rest[k]),
            "change": _round(change[k]),
            "log_odds_change": _round(odds[k]),
        }
        for k in np.flatnonzero(found.held[0]).tolist()
    ]
    horizon = {"horizon": horizon_label(model.card.churn.band_horizon_ms)} if target == CHURN else {}
    return {
        "user_id": who.user,
        "model_version": model.card.version,
        "target": target,
        **horizon,
        "as_of_ms": int(as_of_ms(who.row)[0]),
        "probability": _round(found.whole.of(target)[0]),
        "earlier_events": int(who.row["accepted"][0]) - len(listed),
        "events": listed,
    }


def chances(who: UserRow, model: Predictor, items: Sequence[str]) -> list[dict[str, Any]]:
    """Return the probabilities that the next event is of an item, and that it is a purchase of it.

    The second takes the action and the item to be independent given the history: the model has a head for each.
    """
    rows = current(who.row, model)
    found = predicted(rows, model, as_of_ms(rows), item_hashes(list(items)))
    buys = found.of("purchase")[0]
    return [
        {"item_id": item, "next_item": _round(share), "purchase_next": _round(buys * share)}
        for item, share in zip(items, found.items[0].tolist(), strict=True)
    ]


def known(who: UserRow) -> dict[str, Any]:
    """Return what a row says: windows, totals, the events of the ring, oldest first, and items from before them."""
    row = who.row[0]
    windows = counts(who.row)[0].tolist()
    events, held = ring_steps(who.row)
    return {
        "user_id": who.user,
        "newest_ms": int(row["newest_ms"]),
        "accepted": int(row["accepted"]),
        "late": int(row["late"]),
        "churn_band": (None, *BANDS)[row["band"]],
        "churn_band_as_of_ms": int(as_of_ms(who.row)[0]),
        "totals": dict(zip(ACTIONS, row["total"].tolist(), strict=True)),
        "windows": {
            horizon_label(width_ms * size): dict(zip(ACTIONS, numbers, strict=True))
            for (_, width_ms, size), numbers in zip(RESOLUTIONS, windows, strict=True)
        },
        "events": [
            {
                "ts_ms": int(events.ts_ms[0, k]),
                "action": ACTIONS[events.action[0, k]],
                "item_id": who.item(int(events.item[0, k])),
            }
            for k in np.flatnonzero(held[0]).tolist()
        ],
        "older_items": who.older_items(),
    }


def explanation_tables(told: dict[str, Any]) -> Iterator[Table]:
    """Yield what `explained` says, and what `chances` does under "items", for people."""
    title = f"user {told['user_id']}: {_words(told)} {told['probability']:.1%}, as of {_moment(told['as_of_ms'])}"
    earlier = told["earlier_events"]
    table = Table(title=title, title_justify="left", caption_justify="left")
    if earlier:
        table.caption = f"{earlier:,} earlier {'event is' if earlier == 1 else 'events are'} in the state alone"
    for column in ("time (UTC)", "action", "item"):
        table.add_column(column)
    for column in ("without it", "change, points", "log-odds"):
        table.add_column(column, justify="right")
    table.add_column("lowers | raises")
    most = max((abs(event["change"]) for event in told["events"]), default=0.0)
    for event in told["events"]:
        table.add_row(
            _moment(event["ts_ms"]),
            event["action"],
            event["item_id"],
            f"{event['without']:.1%}",
            f"{100 * event['change']:+.2f}",
            f"{event['log_odds_change']:+.3f}",
            _bar(event["change"], most),
        )
    yield table
    if told.get("items"):
        items = Table(title="chosen items", title_justify="left")
        items.add_column("item")
        items.add_column("next item, if one comes", justify="right")
        items.add_column("purchase of it next", justify="right")
        for item in told["items"]:
            items.add_row(item["item_id"], f"{item['next_item']:.2%}", f"{item['purchase_next']:.3%}")
        yield items


def known_tables(told: dict[str, Any]) -> Iterator[Table]:
    """Yield what `known` says, for people."""
    late = f", {told['late']:,} of them too late to be put in order" if told["late"] else ""
    as_of = _moment(told["churn_band_as_of_ms"])
    band = f"\nchurn risk {told['churn_band']} as of {as_of}" if told["churn_band"] else ""
    total = sum(told["totals"].values())
    title = f"user {told['user_id']}: {total:,} events{late}{band}"
    table = Table(title=title, title_justify="left")
    table.add_column(f"until {_moment(told['newest_ms'])}")
    for column in ACTIONS:
        table.add_column(column, justify="right")
    for window, numbers in told["windows"].items():
        table.add_row(f"last {window}", *(f"{numbers[action]:,}" for action in ACTIONS))
    table.add_row("ever", *(f"{told['totals'][action]:,}" for action in ACTIONS))
    yield table
    events = Table(title=f"the last {len(told['events'])} events", title_justify="left", caption_justify="left")
    if told["older_items"]:
        events.caption = f"items from before, the last first: {', '.join(told['older_items'])}"
    for column in ("time (UTC)", "action", "item"):
        events.add_column(column)
    for event in told["events"]:
        events.add_row(_moment(event["ts_ms"]), event["action"], event["item_id"])
    yield events


def _words(told: dict[str, Any]) -> str:
    target = told["target"]
    if target == CHURN:
        return f"no event within {told['horizon']}"
    if target == LEAVE:
        return "leaves next"
    return f"next item {target.removeprefix(ITEM)}" if target.startswith(ITEM) else f"next a {target}"


def _bar(change: float, most: float) -> Text:
    blocks = round(_BAR * abs(change) / most) if most else 0
    left, right = ("█" * blocks, "") if change < 0 else ("", "█" * blocks)
    return Text.assemble((f"{left:>{_BAR}}", "red"), "|", (f"{right:<{_BAR}}", "green"))


def _round(number: float) -> float:
    return round(float(number), _DECIMALS)


def _moment(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
