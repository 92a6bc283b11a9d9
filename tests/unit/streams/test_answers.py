"""When an event counts as answered."""

import msgspec
import pytest

from schemas.topics import OUTPUTS
from streams.answers import Answers


def output(**offsets: int) -> bytes:
    return msgspec.json.encode({"user_id": "u", "based_on": {"partition": 0, "offsets": offsets}, "more": 1})


def answer(answers: Answers, now_ms: float = 0.0, user: bytes = b"u", **offsets: int) -> None:
    for topic in OUTPUTS:
        answers.see(topic, user, output(**offsets), 0, 0, now_ms)


@pytest.fixture
def answers() -> Answers:
    """Two views and a click of one user, sent at 1000 ms."""
    made = Answers()
    for topic, offset in (("views", 4), ("views", 9), ("clicks", 2)):
        made.see(topic, b"u", b"{}", offset, 1000, 1001.0)
    return made


def test_output_that_reaches_every_offset_answers_all(answers: Answers) -> None:
    answer(answers, views=9, clicks=2, purchases=-1)
    assert (answers.answered, answers.all_answered) == (3, True)


def test_event_beyond_the_offsets_of_the_output_is_not_answered(answers: Answers) -> None:
    answer(answers, views=8, clicks=2, purchases=-1)
    assert (answers.answered, answers.all_answered) == (2, False)
    answer(answers, views=9, clicks=2, purchases=-1)
    assert answers.all_answered


def test_event_is_not_answered_before_each_topic_has_an_output(answers: Answers) -> None:
    for topic in OUTPUTS[:-1]:
        answers.see(topic, b"u", output(views=9, clicks=2), 0, 0, 0.0)
    assert answers.answered == 0
    answers.see(OUTPUTS[-1], b"u", output(views=9, clicks=2), 0, 0, 0.0)
    assert answers.all_answered


def test_output_of_another_user_answers_nothing(answers: Answers) -> None:
    answer(answers, user=b"v", views=9, clicks=2)
    assert answers.answered == 0


def test_output_may_be_read_before_its_event() -> None:
    answers = Answers()
    answer(answers, views=0)
    answers.see("views", b"u", b"{}", 0, 0, 0.0)
    assert answers.all_answered


def test_older_output_read_late_takes_nothing_back() -> None:
    answers = Answers()
    answer(answers, views=9)
    answer(answers, views=1)
    answers.see("views", b"u", b"{}", 9, 0, 0.0)
    assert answers.all_answered


def test_repeated_outputs_count_as_read_and_answer_once(answers: Answers) -> None:
    answer(answers, views=9, clicks=2)
    answer(answers, views=9, clicks=2)
    assert (answers.answered, answers.counts()["next_actions"]) == (3, 2)


def test_latency_runs_from_the_record_to_its_last_output(answers: Answers) -> None:
    answer(answers, now_ms=1250.0, views=4, clicks=-1)
    answer(answers, now_ms=1500.0, views=9, clicks=2)
    assert answers.latency().p50_ms == 500.0
    assert answers.latency(last=1).p99_ms == 500.0


def test_dead_letter_is_counted_and_is_no_answer(answers: Answers) -> None:
    answers.see("dead-letters", b"u", b"{}", 0, 0, 0.0)
    assert answers.counts() == {
        "events": 3,
        "next_actions": 0,
        "recommendations": 0,
        "churn_risk": 0,
        "dead_letters": 1,
        "users": 1,
    }
    assert not answers.all_answered
