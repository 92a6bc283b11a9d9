from datetime import UTC, datetime

import pytest

from schemas.cloudevents import output_headers, source, unsupported
from schemas.topics import INPUTS, OUTPUTS


def test_output_has_every_required_attribute() -> None:
    headers = dict(output_headers("next-actions", "9f86", 1_700_000_000_007, "/shop/eu"))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"9f86",
        "ce_source": b"/shop/eu",
        "ce_type": b"nextact.next-actions.v1",
        "ce_time": b"2023-11-14T22:13:20.007Z",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize("ms", [0, 999, 951_782_400_000, 1_700_000_000_123, 4_102_444_800_000])
def test_time_is_rfc_3339(ms: int) -> None:
    text = dict(output_headers("churn-risk", "1", ms))["ce_time"].decode()
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


@pytest.mark.parametrize("topic", INPUTS + OUTPUTS)
def test_own_output_headers_are_read_back_as_supported(topic: str) -> None:
    assert unsupported(output_headers(topic, "1", 0), topic) is None


def test_source_is_none_without_header_and_never_raises() -> None:
    assert source([]) is None
    assert source([("ce_source", None), ("x", b"/a")]) is None
    assert source([("ce_source", b"/a\xff")]) == "/a\ufffd"
