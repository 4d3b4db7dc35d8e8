"""What README.md and docs/ show works as shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from misstep.harness.cli import misstep

ROOT = Path(__file__).resolve().parents[1]
TOP = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES = TOP + sorted((ROOT / "docs").glob("*.md"))
README = (ROOT / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """Return the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return the ``misstep`` command lines that README.md shows."""
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    return [part for line in lines for part in line.split(" && ") if part.startswith("misstep ")]


def run(command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "misstep.harness", *command.split()[1:]]
    env = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=110)


def test_the_command_that_fails_shows_what_the_readme_shows() -> None:
    (command,) = [each for each in commands() if "naive.toml" in each]
    done = run(f"{command} --no-save")
    assert done.returncode == 1, done.stdout + done.stderr
    (shown,) = blocks("text")
    for line in shown.splitlines():
        what = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|^\s+\d+\.\d{3} s", "", line).strip()
        if what and what != "…":
            key = max(re.split(r"\(\)|; ", what), key=len).strip()
            assert key in done.stdout, f"README.md shows {what!r}, which the command did not print:\n{done.stdout}"


def test_the_example_is_valid_wherever_a_look_gets(tmp_path: Path) -> None:
    only = "--only place_order --only out_of_stock"
    done = run(f"misstep explore examples/order_saga --time 30s --no-save --seed 3 {only}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_inspect_shows_the_topology() -> None:
    done = run("misstep inspect examples/order_saga --only out_of_stock")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "payment --[payment.taken]--> inventory" in done.stdout


def test_the_test_that_is_shown_passes(tmp_path: Path) -> None:
    example = ROOT / "examples" / "order_saga"
    (snippet,) = blocks("python")
    (tmp_path / "test_shown.py").write_text(snippet)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nmisstep_choreography = {example / 'choreography.toml'}\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("command", commands())
def test_every_command_that_is_shown_exists_with_its_options(command: str) -> None:
    name, *words = command.split()[1:]
    found = misstep.get_command(misstep.make_context("misstep", [name], resilient_parsing=True), name)
    assert found is not None, f"README.md shows `misstep {name}`, which there is not"
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_command_is_documented() -> None:
    context = misstep.make_context("misstep", ["doctor"], resilient_parsing=True)
    text = "".join(page.read_text() for page in PAGES) + (ROOT / "CHANGELOG.md").read_text()
    missing = [name for name in misstep.list_commands(context) if f"misstep {name}" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
