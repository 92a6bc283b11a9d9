"""Rows that an older version wrote become rows of today, and go on as if the model had changed."""

import base64
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from builders import InputRecord
from chunks import MODEL, handle

from models.history import NO_EVENTS, apply
from models.older_rows import migrated
from models.state import RING, Rows, empty_rows
from schemas.topics import INPUTS
from streams.pipeline import Origin
from streams.user_rows import UserRows

DATA = Path(__file__).parents[2] / "data"
RECORDED = {layout: json.loads((DATA / f"rows_of_layout_{layout}.json").read_text()) for layout in (1, 2, 3)}
"""Rows as a layout had them, written by its code, and the events that made them: id, item, ts_ms, action."""
EVENTS = RECORDED[1]["events"]


def of_today() -> dict[str, Rows]:
    """What this version makes of the same events, in the same chunk."""
    chunk: dict[Origin, list[InputRecord]] = {}
    for user, events in EVENTS.items():
        for event_id, item, ts_ms, action in events:
            value = {"event_id": event_id, "user_id": user, "item_id": item, "ts_ms": ts_ms}
            part = chunk.setdefault(Origin(INPUTS[action], 3), [])
            part.append(InputRecord(user.encode(), msgspec.json.encode(value), len(part), ts_ms))
    users = UserRows()
    handle(users, chunk)
    return {user: users.read(3, [user.encode()]) for user in EVENTS}


def test_all_layouts_are_of_the_same_events() -> None:
    assert all(recorded["events"] == EVENTS for recorded in RECORDED.values())


@pytest.mark.parametrize("layout", RECORDED)
@pytest.mark.parametrize("user", EVENTS)
def test_recorded_row_goes_on_as_todays_row_does(layout: int, user: str) -> None:
    row = migrated(np.frombuffer(base64.b64decode(RECORDED[layout]["rows"][user]), np.uint8)[None])
    expected = of_today()[user]
    assert row is not None
    if expected["accepted"][0] > RING:  # what left the ring is no longer known
        assert expected["older_low"].any()
        expected["base"], expected["model"], expected["older_low"], expected["older_high"] = 0, 0, 0, 0
        apply(expected, NO_EVENTS, MODEL)
        assert expected["base_ms"][0] > 0
    apply(row, NO_EVENTS, MODEL)
    assert row.tobytes() == expected.tobytes()


def test_rows_of_no_layout_that_is_known_are_none() -> None:
    later = empty_rows(1)
    later["layout"] = 200
    for data in (b"x", later.tobytes(), empty_rows(1).tobytes(), bytes(784), bytes(768), bytes(5000)):
        assert migrated(np.frombuffer(data, np.uint8)[None]) is None


@pytest.mark.parametrize("layout", RECORDED)
def test_many_rows_are_those_of_each_alone(layout: int) -> None:
    older = np.stack([np.frombuffer(base64.b64decode(row), np.uint8) for row in RECORDED[layout]["rows"].values()])
    together = migrated(older)
    assert together is not None
    assert together.tobytes() == b"".join(np.asarray(migrated(older[k : k + 1])).tobytes() for k in range(len(older)))
