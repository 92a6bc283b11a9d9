"""Records as a broken, old or hostile producer sends them: half of them nearly right, so that they get far."""

import json
from collections.abc import Iterator
from random import Random

from builders import START_MS, InputRecord

from schemas.cloudevents import Headers

NUMBERS = [
    "0", "-0", "-1", "1", "0.0", "1.5", "1e3", "1E400", "-1e400", "1e-400", "1e308", "9007199254740993", "2147483648",
    "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1" + "0" * 400,
    "0." + "9" * 400, "17592186044415", "17592186044416", "01", "+1", "0x10", "1_000", "NaN", "Infinity", "-Infinity",
    str(START_MS), f"{START_MS}.0", f"{START_MS}e0", f"{START_MS * 1000}",
]  # fmt: skip
STRINGS = [
    "", " ", "a", "\0", "\x7f", "\r\n\t", '\\"', "\\", "</script>", "${jndi:x}", "\u2028", "\ufeff", "\ufffe", "\uffff",
    "é", "e\u0301", "ﬁ", "Ω", "漢字", "🛒", "👩‍👩‍👧", "\U0010ffff", "x" * 255, "x" * 256, "x" * 257, "🛒" * 256,
    "\0" * 256, "'; --", "%s%n", "../..", "NaN", "null", "u1", "\u202e", "a" * 5000,
]  # fmt: skip
RAW_STRINGS = [
    b'"\\u0000"', b'"\\ud83d\\uded2"', b'"\\ud83d"', b'"\\uded2\\ud83d"', b'"\\uD800\\u0041"', b'"\\x41"', b'"\\u12"',
    b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"\x00"', b'"\x1f"', b'"a',
    b"'a'",
]  # fmt: skip
OTHERS = [b"null", b"true", b"false", b"[]", b"{}", b"[[[]]]", b'{"a":{"b":[1]}}', b"nul", b"", b"undefined"]
FIELDS = [
    "event_id", "user_id", "item_id", "ts_ms", "session_id", "category", "price", "currency", "quantity", "device",
    "place", "recommendation_id", "unknown", "", "\0", "USER_ID",
]  # fmt: skip
NAMES = [*(json.dumps(name).encode() for name in FIELDS), b'"user\\u005fid"', b'"\xff"', b'"ts_ms', b"ts_ms", b"7"]
WHOLE = [
    None, b"", b" ", b"\0", b"\n", b"null", b"0", b'""', b"[]", b"{}", b"{", b"}", b"[", b'"', b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"), b"\x1f\x8b\x08", b"\x00\x00\x00\x00\x01", b"<xml/>", b"user_id=u1", b'{"a":1}{"a":1}',
    b"[" * 100_000, b'{"x":' * 20_000, b'{"x":' + b"[" * 60_000, b'{"x":' + b"[" * 900 + b"]" * 900 + b"}",
    b'"' + b"\\u0000" * 9000 + b'"', b"1" * 60_000, b"-" * 1000, b"\xff" * 5000, bytes(65_536), bytes(65_537),
]  # fmt: skip
HEADER_NAMES = ["ce_specversion", "ce_type", "ce_id", "content-type", "", "x" * 300, "\0", "🛒", "CE_TYPE"]
HEADER_VALUES = [
    b"1.0", b"0.3", b"", None, b"\xff\xfe", b"nextact.views.v1", b"nextact.clicks.v1", b"nextact.", b"x" * 2000,
]  # fmt: skip
KEYS = [None, b"", b"\0", b"\xff\xfe", b"u", b"\xed\xa0\x80", "é".encode(), b"k" * 257, b"k" * 10_000]
TIMES = [-1, 0, START_MS, START_MS - 10**12, 2**63 - 1]


def records(seed: int) -> Iterator[InputRecord]:
    """Yield records without end, the same for the same seed; the offsets are theirs to set who use them."""
    random = Random(seed)
    before = b"{}"
    while True:
        user = f"u{random.randrange(50)}" if random.random() < 0.9 else random.choice(STRINGS)
        value: bytes | None
        match random.randrange(16):
            case 0:
                value = random.randbytes(random.randrange(200))
            case 1:
                value = random.choice(WHOLE) if random.random() < 0.3 else b"{" + random.randbytes(40) + b"}"
            case 2 | 3 | 4:
                value = _event(random, user)
            case 5 | 6 | 7 | 8:
                value = _mutated(random, _event(random, user))
            case 9:
                value = _mutated(random, before + _event(random, user)[random.randrange(60) :])
            case _:
                value = _odd(random, user)
        if value is not None and len(value) < 2000:
            before = value
        yield InputRecord(_key(random, user), value, 0, _time(random), _headers(random))


def _event(random: Random, user: str) -> bytes:
    # few distinct times, items and ids: duplicates, ties and disorder come by themselves
    event = {
        "event_id": f"e{random.randrange(2000)}",
        "user_id": user,
        "item_id": f"i{random.randrange(40)}",
        "ts_ms": START_MS + random.randrange(400) * random.choice((1, 60_000, 3_600_000)),
    }
    if random.random() < 0.3:
        event |= {"price": random.random() * 10 ** random.randrange(-5, 12), "device": random.choice(STRINGS[:20])}
    return json.dumps(event, ensure_ascii=random.random() < 0.5).encode()


def _odd(random: Random, user: str) -> bytes:
    """Return an event with some fields odd, missing or twice."""
    fields = {
        b'"event_id"': b'"e%d"' % random.randrange(2000),
        b'"user_id"': json.dumps(user).encode(),
        b'"item_id"': b'"i%d"' % random.randrange(40),
        b'"ts_ms"': b"%d" % (START_MS + random.randrange(10**6)),
    }
    pairs = list(fields.items())
    for _ in range(random.randrange(1, 4)):
        match random.randrange(5):
            case 0 if pairs:
                del pairs[random.randrange(len(pairs))]
            case 1 if pairs:
                pairs.append(random.choice(pairs))
            case _:
                pairs.append((random.choice(NAMES), _value(random)))
    random.shuffle(pairs)
    space = random.choice((b"", b" ", b"\n\t", b"\x0b"))
    return b"{" + b",".join(name + space + b":" + value for name, value in pairs) + b"}"


def _value(random: Random) -> bytes:
    match random.randrange(4):
        case 0:
            return random.choice(NUMBERS).encode()
        case 1:
            return json.dumps(random.choice(STRINGS), ensure_ascii=random.random() < 0.5).encode()
        case 2:
            return random.choice(RAW_STRINGS)
        case _:
            return random.choice(OTHERS)


def _mutated(random: Random, value: bytes) -> bytes:
    data = bytearray(value)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0:
                data[at : at + random.randrange(1, 9)] = b""
            case 1:
                data[at:at] = random.randbytes(random.randrange(1, 5))
            case 2:
                data[at : at + 1] = random.randbytes(1)
            case 3:
                data[at : at + 1] = random.choice((b'"', b"{", b"}", b"[", b",", b":", b"\\", b"0", b"-", b".", b"e"))
            case 4:
                data[at:at] = data[at : at + random.randrange(1, 40)]
            case _:
                del data[at:]
    return bytes(data)


def _key(random: Random, user: str) -> bytes | None:
    return user.encode() if random.random() < 0.93 else random.choice(KEYS)


def _time(random: Random) -> int:
    return START_MS + random.randrange(10**6) if random.random() < 0.9 else random.choice(TIMES)


def _headers(random: Random) -> Headers:
    if random.random() < 0.9:
        return ()
    count = random.choice((1, 1, 2, 30))
    return [(random.choice(HEADER_NAMES), random.choice(HEADER_VALUES)) for _ in range(count)]
