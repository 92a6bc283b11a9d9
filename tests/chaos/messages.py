"""What is sent: events, some late, some twice, and poison. All but the start time follows from the seed."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.state import RING
from schemas.topics import INPUTS

LATE, TWICE, POISON = 0.10, 0.05, 0.03
"""Shares of the events that come late, that come twice, and of poison beside them."""

MOST_OVERTAKEN = 4
"""Events of the same user that come before one that is late: fewer than the ring holds, with room for outages."""

GONE = 0.015
"""Share of the users who never act again, in each round; others come in their place.

What is wrong in the row of a user who acts on is often written over soon; in theirs it stays.
"""

BOT_EVERY, BOT_EVENTS = 150, 2 * RING
"""How often, in events, somebody new comes, views many things at once, in order, and goes.

Delivered again, more of their events would come than the ring can tell from new ones: only offsets can.
"""

STRAGGLE_MS = (60_000, 3 * 86_400_000)
"""How much older than all of a bot's views two more are, which come last: late for good, whoever reads them when.

They stand behind all others in one partition. The second one is sent twice, and counts twice.
"""

SLEEPER_EVERY, SLEEPER_EVENTS = 100, 5
"""How often, in events, somebody comes whose few events are hours to weeks old, and in order: silent ever since."""

AWAKENED_EVERY, AWAKENED_AFTER = 3, 1000
"""Of so many sleepers, one's last event is sent again so many events later: silence goes on."""

_VIEWS, _CLICKS = 0.80, 0.95
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Message:
    """A record to send."""

    topic: str  # without prefix
    user: int  # whose partition it goes to
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | None
    due_ms: int  # after the start
    poison: bool


def messages(seed: int, users: int, items: int, rate: float, start_ms: int) -> Iterator[Message]:
    """Yield messages without end, in the order in which they are to be sent.

    Users come in rounds: in each, every user acts once, in another order. So nobody's events come so close together
    that an outage of seconds lets sixteen of them overtake one.

    Args:
        seed: same seed, same messages.
        users: number of users at a time.
        items: number of items.
        rate: events a second.
        start_ms: time of the first event.
    """
    chance = random.Random(seed)
    held: dict[int, deque[tuple[int, Message]]] = {}  # of each user: number of its events still to pass, message
    again: deque[tuple[int, Message]] = deque()  # of sleepers: from which event on
    step_ms, number, order, known = 1000 / rate, 0, list(range(users)), users
    while True:
        chance.shuffle(order)
        for place, user in enumerate(order):
            due_ms = round(number * step_ms)
            message = _event(chance, number, user, items, start_ms, due_ms)
            now = [message]
            waiting = held.setdefault(user, deque())
            if chance.random() < LATE:
                waiting.append((chance.randint(1, MOST_OVERTAKEN), message))
                now = []
            else:
                now += _passed(waiting, due_ms)
            if chance.random() < TWICE:
                waiting.append((chance.randint(1, MOST_OVERTAKEN), message))
            if chance.random() < POISON:
                now.append(_poison(chance, number, user, start_ms, due_ms))
            yield from now
            number += 1
            if number % BOT_EVERY == 0:
                yield from _bot(number, known, items, start_ms, due_ms)
                known += 1
            if number % SLEEPER_EVERY == 0:
                sleeper = list(_sleeper(chance, number, known, items, start_ms, due_ms))
                yield from sleeper
                known += 1
                if number // SLEEPER_EVERY % AWAKENED_EVERY == 0:
                    again.append((number + AWAKENED_AFTER, sleeper[-1]))
            while again and again[0][0] <= number:
                yield _at(again.popleft()[1], due_ms)
            if chance.random() < GONE:
                order[place], known = known, known + 1
                held.pop(user, None)


def _passed(waiting: deque[tuple[int, Message]], due_ms: int) -> list[Message]:
    """Count an event of a user as passed; return what has waited long enough."""
    kept = [(left - 1, message) for left, message in waiting]
    waiting.clear()
    waiting.extend((left, message) for left, message in kept if left > 0)
    return [_at(message, due_ms) for left, message in kept if left <= 0]


def _at(message: Message, due_ms: int) -> Message:
    return Message(message.topic, message.user, message.key, message.value, message.headers, due_ms, message.poison)


def _event(chance: random.Random, number: int, user: int, items: int, start_ms: int, due_ms: int) -> Message:
    draw = chance.random()
    topic = INPUTS[0] if draw < _VIEWS else INPUTS[1] if draw < _CLICKS else INPUTS[2]
    value = _json(b"%d" % number, user, chance.randrange(items), start_ms + due_ms)
    return Message(topic, user, b"u%d" % user, value, None, due_ms, poison=False)


def _bot(number: int, user: int, items: int, start_ms: int, due_ms: int) -> Iterator[Message]:
    for k in range(BOT_EVENTS):
        value = _json(b"%d-%d" % (number, k), user, k % items, start_ms + due_ms + k)
        yield Message(INPUTS[0], user, b"u%d" % user, value, None, due_ms, poison=False)

    for place, older_ms in enumerate((*STRAGGLE_MS, STRAGGLE_MS[-1])):
        late = _json(b"%d-late-%d" % (number, min(place, 1)), user, 0, start_ms + due_ms - older_ms)
        yield Message(INPUTS[0], user, b"u%d" % user, late, None, due_ms, poison=False)


def _sleeper(
    chance: random.Random, number: int, user: int, items: int, start_ms: int, due_ms: int
) -> Iterator[Message]:
    topic = chance.choice(INPUTS)  # in one, nothing overtakes anything
    ts_ms = start_ms + due_ms - round(_HOUR_MS * 2 ** chance.uniform(1, 10.5))
    for k in range(SLEEPER_EVENTS):
        value = _json(b"%d-past-%d" % (number, k), user, chance.randrange(items), ts_ms)
        yield Message(topic, user, b"u%d" % user, value, None, due_ms, poison=False)
        ts_ms += chance.randint(1, _HOUR_MS // SLEEPER_EVENTS)


def _json(number: bytes, user: int, item: int, ts_ms: int) -> bytes:
    return b'{"event_id":"e%b","user_id":"u%d","item_id":"i%d","ts_ms":%d}' % (number, user, item, ts_ms)


def _poison(chance: random.Random, number: int, user: int, start_ms: int, due_ms: int) -> Message:
    key: bytes | None = b"u%d" % user
    good = _json(b"%d" % number, user, 0, start_ms + due_ms).replace(b':"e', b':"poison-')
    value: bytes | None
    headers: list[tuple[str, bytes]] | None = None
    kind = chance.randrange(len(_SPOILED) + 4)
    if kind < len(_SPOILED):
        value = _SPOILED[kind](good, chance)
    elif kind == len(_SPOILED):
        value, key = good, None
    elif kind == len(_SPOILED) + 1:
        value, key = good, b"another than u%d" % user
    elif kind == len(_SPOILED) + 2:
        value, headers = good, [("ce_type", b"nextact.views.v9")]
    else:
        value = None
    return Message(chance.choice(INPUTS), user, key, value, headers, due_ms, poison=True)


_SPOILED: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda good, chance: chance.randbytes(len(good)),
    lambda good, chance: good[: chance.randrange(1, len(good) - 1)],
    lambda good, _: good.replace(b'"ts_ms":', b'"ts_ms":-'),
    lambda good, _: good.replace(b'"ts_ms":', b'"ts_ms":9'),
    lambda good, _: good.replace(b'"ts_ms":', b'"when":'),
    lambda good, _: good.replace(b'"ts_ms":', b'"ts_ms":"noon","x":'),
    lambda good, _: good.replace(b'"i0"', b'""'),
    lambda good, _: good.replace(b'"i0"', b'"\xff\xfe"'),
    lambda good, _: good.replace(b'"i0"', b'"' + 300 * b"i" + b'"'),
    lambda good, _: good.replace(b'"i0"', 2000 * b"["),
    lambda good, _: good.replace(b"}", b',"place":"' + 70_000 * b"x" + b'"}'),
    lambda good, _: good + b"\x00",
    lambda good, _: good.replace(b"}", b',"quantity":0}'),
)
"""Ways to spoil an event."""
