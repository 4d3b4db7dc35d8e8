"""What a machine has: this one, and ones made of files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from misstep.harness.doctor import Machine, Part, examine, find_rabbitmq


def found(machine: Machine) -> dict[str, Part]:
    return {part.name: part for part in examine(machine)}


def program(path: Path, says: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Machine:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/stat").touch()
    return Machine(root=tmp_path, environment={"PATH": str(tmp_path / "bin")}, platform="linux")


class TestThisMachine:
    def test_everything_is_looked_at_and_whatever_is_missing_has_a_next_step(self) -> None:
        everything = examine()
        assert {part.name for part in everything} >= {"embedded", "local", "docker", "remote", "RabbitMQ", "PostgreSQL"}
        assert all(part.detail for part in everything)
        assert all(part.present or part.next_step for part in everything)

    def test_no_heavy_library_is_loaded(self) -> None:
        code = (
            "import sys; from misstep.harness.doctor import examine; examine(); "
            "print({'pytest', 'testcontainers', 'docker', 'aio_pika', 'psycopg', 'httpx', 'faker'} & set(sys.modules))"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert said.strip() == "set()"


class TestAnEmptyMachine:
    def test_the_embedded_stage_needs_nothing(self, empty: Machine) -> None:
        assert found(empty)["embedded"].present
        assert found(empty)["remote"].present

    @pytest.mark.parametrize("name", ["local", "docker", "RabbitMQ", "Erlang", "Docker engine", "PostgreSQL", "Node"])
    def test_the_rest_is_missing_with_a_next_step(self, empty: Machine, name: str) -> None:
        part = found(empty)[name]
        assert not part.present
        assert "package manager" in part.next_step

    def test_the_step_fits_the_machine(self, empty: Machine) -> None:
        program(empty.root / "bin/apt-get")
        assert found(empty)["RabbitMQ"].next_step == "apt-get install --no-install-recommends rabbitmq-server"
        mac = Machine(root=empty.root, environment=empty.environment, platform="darwin")
        assert found(mac)["RabbitMQ"].next_step == "brew install rabbitmq"

    def test_elsewhere_than_on_linux_no_stage_is_there(self, empty: Machine) -> None:
        mac = found(Machine(root=empty.root, environment=empty.environment, platform="darwin"))
        assert not any(part.present for part in mac.values() if part.kind == "stage")
        assert "Linux" in mac["embedded"].detail


class TestAFullMachine:
    def test_the_newest_rabbitmq_is_taken(self, empty: Machine) -> None:
        for number in ("3.9.9", "3.10.8", "3.10.10"):
            program(empty.root / f"usr/lib/rabbitmq/lib/rabbitmq_server-{number}/sbin/rabbitmq-server")
        program(empty.root / "bin/erl")
        home = empty.root / "usr/lib/rabbitmq/lib/rabbitmq_server-3.10.10"
        assert find_rabbitmq(empty) == home
        assert found(empty)["RabbitMQ"].detail == str(home)
        assert found(empty)["local"].present

    def test_the_users_own_is_taken_first(self, empty: Machine, tmp_path: Path) -> None:
        program(empty.root / "usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin/rabbitmq-server")
        program(tmp_path / "mine/sbin/rabbitmq-server")
        environment = {**empty.environment, "RABBITMQ_HOME": str(tmp_path / "mine")}
        assert find_rabbitmq(Machine(root=empty.root, environment=environment, platform="linux")) == tmp_path / "mine"

    def test_postgres_needs_initdb_beside_it(self, empty: Machine) -> None:
        program(empty.root / "bin/postgres", "postgres 9")
        assert not found(empty)["PostgreSQL"].present
        for name in ("initdb", "postgres"):
            program(empty.root / f"usr/lib/postgresql/15/bin/{name}", "postgres (PostgreSQL) 15.3")
        part = found(empty)["PostgreSQL"]
        assert part.present
        assert part.detail.startswith("postgres (PostgreSQL) 15.3, ")

    def test_a_program_is_asked_for_its_version(self, empty: Machine) -> None:
        node = program(empty.root / "bin/node", "v20.1.0")
        assert found(empty)["Node"].detail == f"v20.1.0, {node}"

    def test_a_program_that_cannot_run_is_missing_with_the_reason(self, empty: Machine) -> None:
        broken = program(empty.root / "bin/node")
        broken.write_text("#!/no/such/interpreter\n")
        part = found(empty)["node"]
        assert not part.present
        assert "could not be examined" in part.detail
        assert part.next_step


class TestDocker:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[tuple[Path, list[bytes]]]:
        answers: list[bytes] = []
        path = Path(os.path.relpath(tmp_path / "docker.sock"))  # a socket's path has at most 108 bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()

            def serve() -> None:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        if not connection.recv(65536).startswith(b"GET /version"):
                            return
                        connection.sendall(answers[-1])

            thread = threading.Thread(target=serve)
            thread.start()
            yield path, answers
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
                last.sendall(b"end")
            thread.join()

    def test_an_engine_is_asked_for_its_version(self, empty: Machine, engine: tuple[Path, list[bytes]]) -> None:
        path, answers = engine
        answers.append(b'HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{"Version": "20.10"}\n')
        part = found(Machine(root=empty.root, environment={"DOCKER_HOST": f"unix://{path}"}, platform="linux"))
        assert part["Docker engine"].present
        assert "Docker 20.10" in part["Docker engine"].detail

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
            b"no http\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ],
    )
    def test_what_is_no_engine_is_not_taken_for_one(
        self, empty: Machine, engine: tuple[Path, list[bytes]], answer: bytes
    ) -> None:
        path, answers = engine
        answers.append(answer)
        parts = found(Machine(root=empty.root, environment={"DOCKER_HOST": f"unix://{path}"}, platform="linux"))
        assert not parts["Docker engine"].present

    def test_an_engine_that_is_installed_has_to_be_started(self, empty: Machine) -> None:
        program(empty.root / "bin/dockerd")
        assert found(empty)["Docker engine"].next_step == "start the engine: systemctl start docker, or dockerd"
