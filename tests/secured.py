"""An Apache Kafka with locks: SCRAM over TLS, client certificates, ACLs. Tests give rights through a back door."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from certificates import Authority
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from streams.broker import KafkaHome
from streams.clients import admin
from streams.local_broker import free_ports
from streams.settings import Settings, read_settings

PASSWORD = "correct horse battery staple"  # noqa: S105 - of a broker that lives for a test

Right = tuple[ResourceType, str, ACLOperation]
"""Resource, start of its name, operation."""


@dataclass(frozen=True)
class Secured:
    """A broker and the ways in.

    Attributes:
        back_door: no locks: for the tests themselves.
        scram: TLS and a password.
        mutual: TLS and the client's certificate.
        expired: as `scram`, with a certificate of the broker that has expired.
        authority: whom to trust.
    """

    back_door: Settings
    scram: str
    mutual: str
    expired: str
    authority: Authority

    def user(self, name: str, rights: Sequence[Right]) -> dict[str, str]:
        """Return the environment of a new user with a password and some rights."""
        with admin(self.back_door) as client:
            mechanism = ScramMechanism.SCRAM_SHA_512
            client.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(name, mechanism, PASSWORD, iterations=4096)]
            )
        self.grant(f"User:{name}", rights)
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.scram,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": name,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CAFILE": str(self.authority.files.certificate),
        }

    def grant(self, principal: str, rights: Sequence[Right]) -> None:
        """Let somebody do something with what has names that begin so."""
        acls = [
            ACL(
                principal=principal,
                host="*",
                operation=operation,
                permission_type=ACLPermissionType.ALLOW,
                resource_pattern=ResourcePattern(kind, start, ACLResourcePatternType.PREFIXED),
            )
            for kind, start, operation in rights
        ]
        if acls:
            with admin(self.back_door) as client:
                answer = client.create_acls(acls)
            assert not answer["failed"], answer


@contextmanager
def secured(home: Path, folder: Path) -> Iterator[Secured]:
    """Run such a broker. Its certificates name `localhost`, and nothing else."""
    authority = Authority(folder, "authority")
    broker = authority.sign("broker", host="localhost")
    expired = authority.sign("expired", host="localhost", days=-1)
    plain, controller, *ports = free_ports(5)
    names = ("SCRAM", "MUTUAL", "EXPIRED")
    guarded = ",".join(f"{name}://localhost:{port}" for name, port in zip(names, ports, strict=True))
    jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    properties = {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},{guarded},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},{guarded}",
        "listener.security.protocol.map": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL,EXPIRED:SASL_SSL"
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": jaas,
        "listener.name.expired.scram-sha-512.sasl.jaas.config": jaas,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(broker.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.files.certificate),
        "listener.name.expired.ssl.keystore.type": "PEM",
        "listener.name.expired.ssl.keystore.location": str(expired.both),
        "listener.name.mutual.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # who comes through the back door, and the controller
    }
    with KafkaHome(home, folder / "kafka", plain, properties) as running:
        back_door = read_settings(bootstrap_servers=running.bootstrap_servers, security_protocol="PLAINTEXT")
        scram, mutual, late = (f"localhost:{port}" for port in ports)
        yield Secured(back_door, scram, mutual, late, authority)
