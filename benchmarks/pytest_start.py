"""What the installed plugins cost a pytest that uses none of them: starts with them beside starts without.

Run ``python benchmarks/pytest_start.py``. Starts alternate, so that a busy machine is as busy for both. The processor's
time is taken, of which a start has hardly less than it needs, and the least of each kind counts. The aim is 10 ms.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

WITHOUT = ("-p", "no:misstep", "-p", "no:misstep-contracts", "-p", "no:misstep-chaos")


def start(folder: Path, *arguments: str) -> float:
    """Run one empty test, and return the milliseconds of processor time that pytest took."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    before = spent()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return spent() - before


def spent() -> float:
    """Return the milliseconds of processor time that all children so far have taken."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=15, help="starts of each kind (default: 15)")
    starts = parser.parse_args().starts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_empty(): ...\n")
        (folder / "pytest.ini").write_text("[pytest]\n")
        start(folder)
        pairs = [(start(folder), start(folder, *WITHOUT)) for _ in range(starts)]
    with_, without = (min(times) for times in zip(*pairs, strict=True))
    print(
        f"pytest starts in {with_:.0f} ms of processor time with the plugins, {without:.0f} ms without: "
        f"{with_ - without:+.0f} ms, ratio {with_ / without:.3f} (least of {starts})"
    )


if __name__ == "__main__":
    main()
