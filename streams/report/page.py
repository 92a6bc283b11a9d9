"""The page: tables and pictures in one HTML file that needs nothing else. Everything from data is escaped."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from models.report.learning import best, learning_curves
from streams.evaluation_table import verdict
from streams.report import action_panels, item_panels
from streams.report.drawing import Panel, shown
from streams.report.figure_tables import Cell, Table, tables
from streams.report.learning_panel import learning_panel
from streams.report.reliability_panel import reliability_panel
from streams.report.season_panel import season_panel
from streams.report.time_panels import target_name, waiting_panel

if TYPE_CHECKING:
    from models.model_directory import Card
    from models.report.actions import Actions
    from models.report.items import Items
    from models.report.numbers import Numbers
    from models.report.times import Times

_TEMPLATE = "page.html"


class Section(NamedTuple):
    """A part of the page.

    Fields:
        name: to link to.
        title: its heading.
        note: below it.
        tables, panels: what it shows.
    """

    name: str
    title: str
    note: str
    tables: list[Table]
    panels: list[Panel]


def page(numbers: "Numbers", card: "Card", events: str) -> str:
    """Return the page as HTML.

    Args:
        numbers: what it shows.
        card: of the model.
        events: name of the log's file.
    """
    import jinja2

    from models.evaluation.bootstrap import CONFIDENCE

    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        numbers=numbers,
        card=card,
        events=events,
        confidence=f"{CONFIDENCE:.0%}",
        facts=list(_facts(card)),
        sections=list(_sections(numbers)),
    )


def _facts(card: "Card") -> Iterator[tuple[str, str]]:
    data = card.data
    yield "command", card.command or "not kept"
    if card.trained_until_ms:
        yield "trained until", _time(card.trained_until_ms, card.utc_offset_h)
    epochs = learning_curves(card.metrics)
    if epochs:
        stopped = ", stopped before its end" if card.metrics.get("stopped") else ""
        yield "training", f"{len(epochs)} epochs{stopped}; kept is that of epoch {best(epochs).epoch}"
    yield "network", f"{card.network}, state of {card.hidden} numbers"
    yield "actions", ", ".join(card.actions)
    if "sha256" in data:
        counts = ", ".join(f"{data[name]:,} {name}" for name in ("rows", "sequences", "items") if name in data)
        yield "log of the training", counts
        if "splits" in data:
            yield "of these rows", _parts(data["splits"])
        if data.get("first_ms", -1) >= 0:
            first, last = (_time(data[end], card.utc_offset_h) for end in ("first_ms", "last_ms"))
            yield "from, to", f"{first}, {last}"
        yield "fingerprint", f"SHA-256 {data['sha256']}"


def _parts(rows: dict[str, int]) -> str:
    """Return what was done with the rows of a log.

    >>> _parts({"train": 900, "validation": 100, "test": 50, "context": 0})
    '900 learned from, 100 held out to judge by, 50 neither'
    """
    neither = rows["test"] + rows["context"]
    return f"{rows['train']:,} learned from, {rows['validation']:,} held out to judge by, {neither:,} neither"


def _time(ts_ms: int, utc_offset_h: int) -> str:
    moment = datetime.fromtimestamp(ts_ms / 1000, UTC) + timedelta(hours=utc_offset_h)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC{utc_offset_h:+d}"


def _sections(numbers: "Numbers") -> Iterator[Section]:
    if numbers.actions is not None:
        yield _actions(numbers.actions, numbers.asked.utc_offset_h)
    yield _items(numbers.items, numbers.asked.k, exclude_seen=numbers.asked.exclude_seen)
    if numbers.times is not None:
        yield _times(numbers.times)
    if numbers.learning:
        note = "The loss that is minimised, mean over the rows of an epoch, and the loss on rows held out after it."
        yield Section("training", "Training", note, [], [learning_panel(numbers.learning)])


def _actions(actions: "Actions", utc_offset_h: int) -> Section:
    from models.report.asked import MODEL

    panels = []
    names = action_panels.most_frequent(actions)
    if names:
        diagrams = [(shown(name), actions.reliability[name]) for name in names]
        remark = action_panels.of_all(len(names), len(actions.reliability))
        panels += [
            action_panels.curves(actions),
            reliability_panel("reliability", "Can the probabilities be believed?", diagrams, remark),
        ]
    panels.append(action_panels.confusion(actions))
    if names and actions.hours is not None and actions.days is not None:
        panels.append(season_panel(actions, actions.hours, actions.days, utc_offset_h))
    reading = "Lower is better: where the model stands above a floor, it knows less of these users than the floor."
    panels.append(
        action_panels.by_history(actions.log_loss_by_history, "log-loss", "action-history", reading, shares=False)
    )
    note = (
        "Which action comes, given that one comes. Lower is better for log-loss (nats), error and ECE, higher for the "
        "others; log-loss beside the prior tells how much is known at all."
    )
    note = f"{note} {verdict(actions.table, MODEL)}"
    return Section("next-action", "Next action", note, list(tables(actions.table, MODEL)), panels)


def _items(items: "Items", k: int, *, exclude_seen: bool) -> Section:
    from models.report.asked import MODEL

    about = items.table.about
    left_out = ", those in the user's history left out" if exclude_seen else ""
    note = (
        f"Lists of {k} of {about['candidates']:,} items{left_out}. Recall is the share of rows whose item is in the "
        "list; coverage the share of the items in any list, novelty the bits of information of the items listed: both "
        "describe. "
        f"{about['rows_with_item_never_learned']:,} rows have an item that was never learned and count as missed. "
        + verdict(items.table, MODEL)
    )
    listed = Table(
        "Items in most of the model's lists",
        ["share of lists", "share of what came"],
        [
            (one.item, False, [Cell(f"{share:.1%}", "") for share in (one.of_lists, one.of_targets)])
            for one in items.most_listed
        ],
    )
    reading = "Higher is better: the share of rows whose item is in the list."
    panels = [
        action_panels.by_history(items.recall_by_history, f"recall at {k}", "item-history", reading, shares=True),
        item_panels.popularity(items, k),
    ]
    return Section("next-item", "Next item", note, [*tables(items.table, MODEL), listed], panels)


def _times(times: "Times") -> Section:
    from models.report.asked import MODEL

    panels = [waiting_panel(times.waiting)] if times.waiting else []
    diagrams = [
        (f"{target_name(target)} within {horizon}", diagram)
        for target, some in times.reliability.items()
        for horizon, diagram in some.items()
    ]
    if diagrams:
        remark = (
            " Only forecasts that were made since the scored rows begin and watched for so long count; the table above "
            "also has older ones, picked for the silence since, and those that came true although watched for less."
        )
        panels.append(reliability_panel("time-reliability", "Does it come in time?", diagrams, remark))
    note = (
        f"When the next event comes. {times.table.about['not_come']:,} waits had not ended when the scored rows did "
        "and count up to then. Lower is better for log-loss, Brier score, ECE and mean error, higher for the others."
    )
    note = f"{note} {verdict(times.table, MODEL)}"
    return Section("time-to-next", "Time to next", note, list(tables(times.table, MODEL)), panels)
