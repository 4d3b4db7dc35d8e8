"""``python -m misstep.harness`` is the ``misstep`` command, wherever the script itself is not on the path."""

from misstep.harness.cli import main

main()
