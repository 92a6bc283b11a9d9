"""The environment: what is read, what is refused, what is never shown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.errors import SettingsError
from streams.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith(("KAFKA_", "NEXTACT_")):
            monkeypatch.delenv(name)


def test_kafka_and_nextact_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "a:9092, b:9093,c")
    monkeypatch.setenv("KAFKA_HOME", "/opt/kafka")
    monkeypatch.setenv("NEXTACT_TOPIC_PREFIX", "shop.")
    monkeypatch.setenv("NEXTACT_CLOCK", "STREAM")
    settings = read_settings()
    assert settings.servers == ["a:9092", "b:9093", "c:9092"]
    assert settings.home == Path("/opt/kafka")
    assert (settings.topic_prefix, settings.clock) == ("shop.", "stream")


def test_variables_of_other_programs_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("MODEL", "x")
    monkeypatch.setenv("SASL_USERNAME", "x")
    settings = read_settings()
    assert (settings.home, settings.model, settings.sasl_username) == (None, None, None)


def test_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTACT_PARTITIONS", "")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "")
    assert (read_settings().partitions, read_settings().servers) == (8, [])


def test_option_wins_over_variable_and_none_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTACT_PARTITIONS", "3")
    assert read_settings(partitions=5).partitions == 5
    assert read_settings(partitions=None).partitions == 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NEXTACT_PARTITIONS", "eight"),
        ("NEXTACT_PARTITIONS", "0"),
        ("NEXTACT_METRICS_PORT", "65536"),
        ("NEXTACT_CLOCK", "moon"),
        ("NEXTACT_TOPIC_PREFIX", "two words"),
        ("NEXTACT_ALIGN_WAIT_MS", "-1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:9092"),
        ("NEXTACT_SLATE_SIZE", "501"),
        ("NEXTACT_FUTURE_TOLERANCE_S", "31536001"),
        ("NEXTACT_SESSION_TIMEOUT_S", "0"),
        ("NEXTACT_SESSION_TIMEOUT_S", "61"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SSL_CAFILE", "/no/such/file"),
    ],
)
def test_value_that_cannot_be_used_names_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable) as error:
        read_settings()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["http://host:9092", "PLAINTEXT://a:9092,b:9092", "a:9092;b:9092", "a:9092 b:9092"])
def test_servers_with_a_scheme_or_other_separators_are_refused_with_the_form(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", value)
    with pytest.raises(SettingsError, match="host:port without a scheme, several with commas between"):
        read_settings()


def test_unknown_variable_is_warned_of_in_one_line_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXTACT_PARTITIONS", "3")
    read_settings()
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("NEXTACT_PARTITION", "4")
    monkeypatch.setenv("NEXTACT_XYZ", "4")
    assert (read_settings().partitions, read_settings().partitions) == (3, 3)
    warned = capsys.readouterr().err
    assert warned == (
        "warning: not a variable of nextact: NEXTACT_PARTITION (did you mean NEXTACT_PARTITIONS?), NEXTACT_XYZ\n"
    )


def test_sasl_without_a_password_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "app")
    with pytest.raises(SettingsError, match="KAFKA_SASL_PASSWORD"):
        read_settings()


def test_secrets_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "app")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter2")
    settings = read_settings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"
    monkeypatch.setenv("NEXTACT_PARTITIONS", "x")
    with pytest.raises(SettingsError) as error:
        read_settings()
    assert "hunter2" not in str(error.value)
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"sasl_password": ["hunter2"]})
    assert "hunter2" not in str(refused.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().partitions = 3
