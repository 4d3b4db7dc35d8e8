"""SQLite stores: fresh files, and looks that lock nobody out."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from misstep.harness.errors import StoreFailed
from misstep.harness.stores.port import Store, StoreServer
from misstep.harness.stores.sqlite import SqliteServer

pytestmark = pytest.mark.asyncio
SCHEMA = "create table charges (order_id text, amount real)"


async def fresh(folder: Path, name: str = "run") -> Store:
    server: StoreServer = SqliteServer("payments", "payments.db", SCHEMA)
    await server.start()
    (folder / name).mkdir()
    return await server.fresh(name, folder / name)


async def test_a_fresh_file_has_the_schema_and_answers_with_columns(tmp_path: Path) -> None:
    store = await fresh(tmp_path)
    with closing(sqlite3.connect(store.parts()["path"])) as service, service:
        service.executemany("insert into charges values (?, ?)", [("o1", 1.5), ("o1", 2), ("o2", 3)])
    found = await store.query(
        "select order_id, sum(amount) as total from charges where order_id = ? group by 1", ["o1"]
    )
    assert (found.columns, found.rows) == (("order_id", "total"), (("o1", 3.5),))
    assert store.parts()["url"] == f"sqlite:///{store.parts()['path']}"
    assert store.endpoint is None


async def test_stores_are_apart_and_discarded(tmp_path: Path) -> None:
    first, second = await fresh(tmp_path, "1"), await fresh(tmp_path, "2")
    assert first.parts()["path"] != second.parts()["path"]
    await first.discard()
    assert not os.path.exists(first.parts()["path"])  # noqa: ASYNC240
    assert (await second.query("select count(*) from charges")).rows == ((0,),)
    with pytest.raises(StoreFailed, match=r"stores\.payments was asked"):
        await first.query("select 1 from charges")


@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_a_query_locks_no_service_out_and_writes_nothing(tmp_path: Path, mode: str) -> None:
    store = await fresh(tmp_path)
    with closing(sqlite3.connect(store.parts()["path"], timeout=0, isolation_level=None)) as service:
        service.execute(f"pragma journal_mode = {mode}")
        service.execute("begin immediate")
        service.execute("insert into charges values ('o1', 1)")
        assert (await store.query("select count(*) from charges")).rows == ((0,),)
        service.execute("commit")
        assert (await store.query("select count(*) from charges")).rows == ((1,),)
        with pytest.raises(StoreFailed, match=r"'delete from charges' and answered: .*readonly"):
            await store.query("delete from charges")
        service.execute("insert into charges values ('o2', 1)")


async def test_a_wrong_schema_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"stores\.orders: .*syntax error"):
        await SqliteServer("orders", "o.db", "create tabel x").fresh("run", tmp_path)
