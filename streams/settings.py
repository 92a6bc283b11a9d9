"""The environment, read once: the usual variables of Kafka clients (`KAFKA_*`) and ours (`NEXTACT_*`)."""

import os
import sys
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.events import Limits
from streams.errors import SettingsError

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=150)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]*$", max_length=150)]
PositiveInt = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port


class Settings(BaseSettings):
    """Everything that the environment can say; frozen.

    A field of Kafka's is read from `KAFKA_<FIELD>`, every other from `NEXTACT_<FIELD>`.
    An empty variable counts as not set.

    >>> Settings(bootstrap_servers="a:9092, b").servers
    ['a:9092', 'b:9092']
    """

    model_config = SettingsConfigDict(
        env_prefix="NEXTACT_",
        frozen=True,
        env_ignore_empty=True,
        extra="forbid",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    bootstrap_servers: str | None = Field(default=None, validation_alias="KAFKA_BOOTSTRAP_SERVERS")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", validation_alias="KAFKA_SECURITY_PROTOCOL"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", validation_alias="KAFKA_SASL_MECHANISM"
    )
    sasl_username: str | None = Field(default=None, validation_alias="KAFKA_SASL_USERNAME")
    sasl_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SASL_PASSWORD")
    ssl_cafile: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CAFILE")
    ssl_certfile: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CERTFILE")
    ssl_keyfile: Path | None = Field(default=None, validation_alias="KAFKA_SSL_KEYFILE")
    ssl_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SSL_PASSWORD")
    ssl_check_hostname: bool = Field(default=True, validation_alias="KAFKA_SSL_CHECK_HOSTNAME")
    home: Path | None = Field(default=None, validation_alias="KAFKA_HOME")  # a folder with Apache Kafka's jars in libs/

    topic_prefix: Prefix = ""
    partitions: PositiveInt = 8  # of every input and output topic
    replication_factor: PositiveInt | None = None  # None: what the broker is set to
    group: Name = "nextact"
    instance: Name | None = None  # of this worker alone: what comes back under it has its partitions again at once
    model: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9464
    group_lag_interval_s: Annotated[float, Field(gt=0)] = 5.0
    slate_size: Annotated[int, Field(ge=0, le=500)] = 10  # 0: no recommendations
    max_poll_records: PositiveInt = 20_000
    compression: Literal["none", "lz4"] = "lz4"  # of outputs and changelog
    unknown_items: Literal["accept", "reject"] = "accept"
    clock: Literal["wall", "stream"] = "wall"  # stream: now is the newest event time seen (replay)
    max_event_bytes: PositiveInt = 65_536
    future_tolerance_s: Annotated[int, Field(gt=0, le=365 * 86_400)] = 300
    valid_for_s: PositiveInt = 3600
    session_timeout_s: Annotated[int, Field(ge=1, le=60)] = 10  # Faust: less than its request timeout
    watchdog_s: Annotated[int, Field(ge=5)] = 120  # more than the 40 s after which a silent broker ends a worker
    align_wait_ms: Annotated[int, Field(ge=0)] = 2000  # in a backlog: for a topic that is silent
    rescore_interval_s: Annotated[float, Field(gt=0)] = 1.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"  # auto: console on a terminal, else json

    @field_validator("log_level", "log_format", "unknown_items", "clock", "compression", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("bootstrap_servers")
    @classmethod
    def _named_servers(cls, value: str | None) -> str | None:
        for server in (value or "").split(",") if value else []:
            host, _, port = server.strip().rpartition(":") if ":" in server else (server.strip(), "", "9092")
            if not host or set(host) & set("/; ") or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError("must be host:port without a scheme, several with commas between")
        return value

    @model_validator(mode="after")
    def _complete_security(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            needed = "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL={self.security_protocol} {needed}")
        for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"KAFKA_{name.upper()}={path} is not a file")
        return self

    @property
    def limits(self) -> Limits:
        """What is still accepted as an event."""
        return Limits(max_bytes=self.max_event_bytes, future_ms=self.future_tolerance_s * 1000)

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers one by one, each host:port; empty if none is named."""
        named = [server.strip() for server in (self.bootstrap_servers or "").split(",") if server.strip()]
        return [server if ":" in server else f"{server}:9092" for server in named]


def read_settings(**overrides: object) -> Settings:
    """Read the environment; an override of None counts as not given.

    Raises:
        SettingsError: a value cannot be used; the message names the variable, and never shows a secret.
    """
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_line(e) for e in error.errors(include_url=False))) from None
    _warn_of_unknown()
    return settings


def _warn_of_unknown() -> None:
    """Say on stderr which `NEXTACT_*` variables mean nothing here: they may be typing errors."""
    prefix = str(Settings.model_config["env_prefix"])
    known = [name.upper() for name, field in Settings.model_fields.items() if field.validation_alias is None]
    known.append("DATA")  # NEXTACT_DATA: where tests find logs
    unknown = []
    for variable in sorted(os.environ):
        if variable.startswith(prefix) and (name := variable.removeprefix(prefix).upper()) not in known:
            # the prefix is in all of them: left in, any two would look alike
            near = get_close_matches(name, known, 1)
            unknown.append(f"{variable} (did you mean {prefix}{near[0]}?)" if near else variable)
    if unknown:
        _warn_once(f"warning: not a variable of nextact: {', '.join(unknown)}\n")


@cache
def _warn_once(line: str) -> None:
    sys.stderr.write(line)  # there is no log yet: its form is among the settings


def _line(error: ErrorDetails) -> str:
    problem = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return problem
    field = str(error["loc"][0]).lower().removeprefix("kafka_")
    aliased = Settings.model_fields[field].validation_alias if field in Settings.model_fields else None
    variable = f"{'KAFKA' if aliased else 'NEXTACT'}_{field.upper()}"
    return f"{variable}: {problem[:1].lower()}{problem[1:]}"
