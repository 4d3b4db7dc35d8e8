"""PostgreSQL stores on a private server, and on one that is given by its URL."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from misstep.harness.doctor import Machine
from misstep.harness.errors import PartMissing, StoreFailed
from misstep.harness.services.guardian import Guard
from misstep.harness.stores.port import Store, StoreServer
from misstep.harness.stores.postgres import LONGEST_NAME, PostgresServer, PostgresStore, database_name
from misstep.harness.stores.postgres_instances import GivenPostgres, LocalPostgres
from misstep.harness.stores.postgres_url import PostgresUrl, parse_postgres

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA = (
    "create table charges (id serial primary key, order_id text, amount numeric); create index on charges (order_id)"
)
HERE = Path()
names = (f"misstep-test-{number}" for number in itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as guard:
        yield guard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(guard: Guard) -> AsyncIterator[PostgresServer]:
    server = PostgresServer("payments", LocalPostgres(guard), SCHEMA)
    await server.start()
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def store(server: PostgresServer) -> AsyncIterator[PostgresStore]:
    store = await server.fresh(next(names), HERE)
    yield store
    await store.discard()


async def service(store: Store) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """Connect as a service does: by the URL that it is given."""
    return await psycopg.AsyncConnection.connect(store.parts()["url"])


async def test_a_fresh_store_has_the_schema_and_answers_with_columns(
    server: PostgresServer, store: PostgresStore
) -> None:
    roles: tuple[StoreServer, Store] = (server, store)
    assert all(roles)
    async with await service(store) as connection:
        await connection.execute("insert into charges (order_id, amount) values ('o1', 9.5), ('o1', 1), ('o2', 3)")
    found = await store.query(
        "select order_id, sum(amount) as total from charges where order_id = %s group by 1", ["o1"]
    )
    assert found.columns == ("order_id", "total")
    assert found.rows == (("o1", Decimal("10.5")),)
    assert (await store.query("select '100%'")).rows == (("100%",),), "without parameters a per cent sign is plain"


async def test_stores_are_apart_and_discarded_with_their_connections(
    server: PostgresServer, store: PostgresStore
) -> None:
    other = await server.fresh(next(names), HERE)
    connection = await service(other)
    await connection.execute("insert into charges (order_id) values ('o1')")
    await connection.commit()
    assert (await other.query("select count(*) from charges")).rows == ((1,),)
    assert (await store.query("select count(*) from charges")).rows == ((0,),)
    await other.discard()
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("select 1")
    await connection.close()
    with pytest.raises(StoreFailed, match="does not exist"):
        await other.query("select 1")


async def test_a_query_waits_for_nobody_and_writes_nothing(store: PostgresStore) -> None:
    async with await service(store) as connection:
        await connection.execute("insert into charges (order_id) values ('o1')")
        await connection.execute("update charges set amount = 2")
        assert (await store.query("select count(*) from charges")).rows == ((0,),), "not committed, and not waited for"
    with pytest.raises(StoreFailed, match=r"stores\.payments was asked 'delete from charges'.*read-only"):
        await store.query("delete from charges")
    with pytest.raises(StoreFailed, match='"no_such_table" does not exist'):
        await store.query("select * from no_such_table")
    assert (await store.query("select count(*) from charges")).rows == ((1,),), "it is asked on after a refusal"


async def test_a_lost_connection_is_opened_again(store: PostgresStore) -> None:
    ((pid,),) = (await store.query("select pg_backend_pid()")).rows
    async with await service(store) as connection:
        await connection.execute("select pg_terminate_backend(%s)", [pid])
    with pytest.raises(StoreFailed):
        await store.query("select 1")
    assert (await store.query("select 1")).rows == ((1,),)


async def test_parts_are_those_of_the_link(store: PostgresStore) -> None:
    parts = store.parts("127.0.0.2", 99)
    assert parts["url"] == (f"postgresql://{parts['user']}:{parts['password']}@127.0.0.2:99/{parts['database']}")
    assert (parts["host"], parts["port"]) == ("127.0.0.2", "99")
    assert store.endpoint.port == int(store.parts()["port"])


async def test_a_wrong_schema_is_told(guard: Guard, store: PostgresStore) -> None:
    server = PostgresServer("orders", GivenPostgres(store.parts()["url"]), "create tabel x")
    with pytest.raises(StoreFailed, match=r"stores\.orders\.schema: .* was given 'create tabel x'.*syntax error"):
        await server.start()
    await server.close()


async def test_a_given_server_is_left_as_it_was(store: PostgresStore) -> None:
    async def databases() -> set[object]:
        return {row[0] for row in (await store.query("select datname from pg_database")).rows}

    before = await databases()
    server = PostgresServer("orders", GivenPostgres(store.parts()["url"]), "create table t (x int)")
    await server.start()
    first, second = [await server.fresh(f"run {number}", HERE) for number in (1, 2)]
    assert len(await databases()) == len(before) + 3
    assert (await first.query("select * from t")).rows == ()
    await first.discard()
    assert (await second.query("select * from t")).columns == ("x",)
    await server.close()
    assert await databases() == before


async def test_secrets_are_not_shown(store: PostgresStore) -> None:
    password = store.parts()["password"]
    assert len(password) == 32
    given = PostgresUrl("127.0.0.1", 1, "ann", password, "shop")
    assert password not in f"{given} {given!r} {store!r} {vars(store)}"
    server = PostgresServer("orders", GivenPostgres(given.text()))
    with pytest.raises(StoreFailed) as caught:
        await server.start()
    assert password not in str(caught.value)
    assert "postgresql://ann:***@127.0.0.1:1/shop" in str(caught.value)
    await server.close()


async def test_closing_leaves_no_process_no_port_and_no_file(guard: Guard) -> None:
    instance = LocalPostgres(guard)
    server = PostgresServer("orders", instance)
    await server.start()
    store = await server.fresh("run", HERE)
    connection = await service(store)
    process = instance._server
    assert process is not None
    folder = process.command.cwd
    pids = await process.tree()
    assert len(pids) > 3
    await server.close()
    await connection.close()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: ASYNC240
    assert not os.path.exists(folder)  # noqa: ASYNC240
    with socket.socket() as probe:
        assert probe.connect_ex((store.endpoint.host, store.endpoint.port)) != 0
    with pytest.raises(StoreFailed, match="was not started"):
        await server.fresh("late", HERE)


async def test_many_stores_at_once(server: PostgresServer) -> None:
    stores = await asyncio.gather(*(server.fresh(next(names), HERE) for _ in range(5)))
    answers = await asyncio.gather(*(store.query("select count(*) from charges") for store in stores))
    assert [answer.rows for answer in answers] == [((0,),)] * 5
    await asyncio.gather(*(store.discard() for store in stores))


async def test_says_what_is_missing(guard: Guard, tmp_path: Path) -> None:
    bare = Machine(root=tmp_path, environment={"PATH": str(tmp_path)})
    with pytest.raises(PartMissing, match="PostgreSQL is not installed"):
        await PostgresServer("orders", LocalPostgres(guard, machine=bare)).start()


@pytest.mark.parametrize("url", ["mysql://u@h/d", "postgresql:///d", "postgresql://h/d", "postgresql://u@h:port/d"])
async def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(StoreFailed, match="expected postgresql://user:password@host:port/database"):
        parse_postgres(url)


async def test_urls_come_apart_and_together() -> None:
    url = "postgresql://a%40b:p%2Fw@[::1]:5433/shop?sslmode=require"
    parsed = parse_postgres(url)
    assert (parsed.user, parsed.password, parsed.host, parsed.port) == ("a@b", "p/w", "::1", 5433)
    assert parsed.text() == url
    assert parse_postgres("postgres://ann@db").text() == "postgresql://ann@db:5432/ann"


async def test_database_names_are_plain_short_and_apart() -> None:
    assert database_name("orders_1") == "orders_1"
    names = [database_name(name) for name in ("misstep-1-a", "misstep_1_a", "misstep.1.a", "x" * 100, "x" * 99)]
    assert len(set(names)) == 5
    assert all(len(name) <= LONGEST_NAME and name.replace("_", "").isalnum() for name in names)
