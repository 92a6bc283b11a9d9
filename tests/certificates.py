"""Certificates for a broker and its clients, made anew for each test."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """PEM files: a certificate, its key, both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `files.certificate` is what its friends trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        ca = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._certificate(self._name, self._key.public_key(), 3650).add_extension(ca, critical=True)
        signed = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.files = _written(folder / name, signed, self._key, NoEncryption())

    def sign(self, name: str, *, host: str | None = None, days: int = 30, password: bytes | None = None) -> Files:
        """Return a certificate for a broker at a host, or for a client; `days` below 0: it has expired since."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._certificate(subject, key.public_key(), days)
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        signed = builder.add_extension(issuer, critical=False).sign(self._key, hashes.SHA256())
        locked = NoEncryption() if password is None else BestAvailableEncryption(password)
        return _written(self._folder / name, signed, key, locked)

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _written(
    stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, locked: KeySerializationEncryption
) -> Files:
    public = certificate.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    files = Files(stem.with_suffix(".crt"), stem.with_suffix(".key"), stem.with_suffix(".pem"))
    files.certificate.write_bytes(public)
    files.key.write_bytes(private)
    files.both.write_bytes(private + public)
    return files
