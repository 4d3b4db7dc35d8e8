"""The URL of a PostgreSQL database, taken apart; its password is never shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote, urlsplit

from misstep.harness.errors import StoreFailed

PORT = 5432


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """Where a database is, and who to be there.

    Attributes:
        host: A host name or address.
        port: The TCP port.
        user: The user.
        password: The password; empty where none is needed.
        database: The database.
        query: Parameters such as ``sslmode=require``, as they stand in the URL.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    query: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"postgresql://{self.user}:***@{self.host}:{self.port}/{self.database}"

    def to(self, *, host: str = "", port: int = 0, database: str = "") -> PostgresUrl:
        """Return the same with another place or database; what is empty stays."""
        return replace(self, host=host or self.host, port=port or self.port, database=database or self.database)

    def text(self) -> str:
        """Return the whole URL, password included, for a client."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?{self.query}" if self.query else ""
        return f"postgresql://{quote(self.user, safe='')}{password}@{host}:{self.port}/{quote(self.database)}{query}"


def parse_postgres(url: str) -> PostgresUrl:
    """Take a URL apart.

    Raises:
        StoreFailed: It is no URL of a PostgreSQL server reached by TCP.
    """
    expected = "postgresql://user:password@host:port/database"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StoreFailed(f"the store's URL cannot be read ({error}): expected {expected}") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username:
        raise StoreFailed(
            f"the store's URL begins with {parts.scheme + '://'!r} and has "
            f"{'a' if parts.hostname else 'no'} host and {'a' if parts.username else 'no'} user: expected {expected}"
        )
    return PostgresUrl(
        host=parts.hostname,
        port=port or PORT,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        database=unquote(parts.path[1:]) or unquote(parts.username),
        query=parts.query,
    )
