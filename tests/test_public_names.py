"""The names that others may rely on: adding one is a decision, and so is taking one away."""

import misstep.chaos
import misstep.harness


def test_the_names_of_the_harness() -> None:
    assert misstep.harness.__all__ == [
        "Answer", "BlockingStage", "Case", "Choreography", "Drive", "Driver", "Effect", "EventRules", "External",
        "Fault", "Finding", "History", "House", "Plan", "Probe", "Progress", "QuietRules", "Ready", "Run", "Saga",
        "Selector", "Service", "Site", "StageHandle", "Step", "Store", "Verdict", "View", "arm_nothing", "load", "run",
    ]  # fmt: skip
    for name in misstep.harness.__all__:
        assert getattr(misstep.harness, name).__doc__


def test_the_names_of_chaos() -> None:
    assert misstep.chaos.__all__ == ["broker", "delivery", "link", "message", "process"]
    for name in misstep.chaos.__all__:
        assert getattr(misstep.chaos, name).__doc__
