"""The URL of a broker somewhere else, taken apart; what of it is secret is never shown."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from misstep.harness.brokers.port import Credentials, Endpoint
from misstep.harness.errors import BrokerFailed

PORTS = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, who to be there, and in which virtual host.

    Attributes:
        endpoint: Where it listens, and by which TLS settings.
        credentials: The user; ``guest`` where the URL names none.
        vhost: The virtual host; ``/`` where the URL names none.
    """

    endpoint: Endpoint
    credentials: Credentials
    vhost: str

    def __str__(self) -> str:
        scheme = "amqps" if self.endpoint.tls else "amqp"
        return f"{scheme}://{self.credentials}@{self.endpoint.host}:{self.endpoint.port} (virtual host {self.vhost!r})"


def parse_address(url: str) -> Address:
    """Take an AMQP URL apart.

    Understands the query parameters of RabbitMQ's "URI Query Parameters": ``cacertfile``, ``certfile``, ``keyfile`` and
    ``verify`` (``verify_peer``, the default, or ``verify_none``).

    Raises:
        BrokerFailed: It is no AMQP URL, or a file that it names cannot be used.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BrokerFailed(f"the broker's URL cannot be read ({error}): expected {_EXPECTED}") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise BrokerFailed(f"the broker's URL begins with {parts.scheme + '://'!r}: expected {_EXPECTED}")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    tls = _tls(options) if parts.scheme == "amqps" else None
    user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
    vhost = unquote(parts.path[1:]) or "/"
    return Address(Endpoint(parts.hostname, port or PORTS[parts.scheme], tls), Credentials(user, password), vhost)


def split_credentials(url: str, otherwise: Credentials) -> tuple[str, Credentials]:
    """Take user and password out of a management URL; others where it has none."""
    parts = urlsplit(url)
    if not parts.username:
        return url, otherwise
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return plain, Credentials(unquote(parts.username), unquote(parts.password or ""))


_EXPECTED = "amqp://user:password@host:port/vhost, or amqps"


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    """Return the TLS settings that a URL's query asks for; the peer is verified unless it says otherwise."""
    try:
        context = ssl.create_default_context(cafile=options.get("cacertfile"))
        if "certfile" in options:
            context.load_cert_chain(options["certfile"], options.get("keyfile"))
    except (OSError, ssl.SSLError) as error:
        files = {name: options[name] for name in ("cacertfile", "certfile", "keyfile") if name in options}
        raise BrokerFailed(f"the TLS files of the broker's URL cannot be used: {files}: {error}") from error
    if options.get("verify") == "verify_none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
