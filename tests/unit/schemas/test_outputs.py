from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from message_examples import CHURN_RISK, NEXT_ACTION, RECOMMENDATION

from schemas.outputs import ChurnRisk, Output, encode_output, horizon_label, output_id

ARGUMENTS: dict[str, Any] = {
    "kind": "next-actions",
    "partition": 1,
    "applied": (1, 2, 3),
    "model_version": "m",
    "as_of_ms": 5,
    "trigger": "event",
}


@pytest.mark.parametrize("output", [NEXT_ACTION, RECOMMENDATION, CHURN_RISK])
def test_encoded_output_reads_back_equal(output: Output) -> None:
    assert msgspec.json.decode(encode_output(output), type=type(output)) == output


@pytest.mark.parametrize("output", [NEXT_ACTION, RECOMMENDATION, CHURN_RISK])
def test_reader_ignores_fields_of_a_later_version(output: Output) -> None:
    later = encode_output(output)[:-1] + b',"new":{"a":1}}'
    assert msgspec.json.decode(later, type=type(output)) == output


@pytest.mark.parametrize("output", [NEXT_ACTION, RECOMMENDATION, CHURN_RISK])
def test_every_field_is_written(output: Output) -> None:
    assert set(msgspec.json.decode(encode_output(output))) == set(type(output).__struct_fields__)


def test_probability_outside_0_to_1_is_refused_by_a_reader() -> None:
    wrong = msgspec.structs.replace(CHURN_RISK, silent_for={"1d": 1.0001})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(encode_output(wrong), type=ChurnRisk)


def test_id_says_what_the_output_is_based_on() -> None:
    # pinned: another id for the same output makes every consumer see it twice
    assert output_id(**ARGUMENTS) == "next-actions.1.1.2.3.5.m.event"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("kind", "churn-risk"),
        ("partition", 2),
        ("applied", (1, 2, 4)),
        ("applied", (12, 3, -1)),
        ("model_version", "n"),
        ("as_of_ms", 6),
        ("trigger", "silence"),
    ],
)
def test_id_depends_on_every_argument(name: str, other: object) -> None:
    assert output_id(**ARGUMENTS) != output_id(**ARGUMENTS | {name: other})


@given(st.integers(1, 10**12))
def test_horizon_label_names_exactly_the_horizon(ms: int) -> None:
    label = horizon_label(ms)
    unit = label.lstrip("0123456789")
    assert (
        int(label.removesuffix(unit)) * {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit] == ms
    )
