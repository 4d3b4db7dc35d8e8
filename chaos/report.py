"""What a search found, for people: a table of sites and faults, the smallest failing plan and its story, a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from misstep.chaos.explorer.coverage import NOT_TRIED, SEVERAL, Coverage, coverage
from misstep.chaos.explorer.outcome import Exploration, Failure
from misstep.chaos.paste import source
from misstep.harness.choreography.words import Choreography
from misstep.harness.report.failure import concerned, plan_lines, story_text, verdict_lines
from misstep.harness.runner import Run
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

SIGNS = {
    "invalid": ("✗", "bold red"),
    "flaky": ("~", "yellow"),
    "unknown": ("?", "yellow"),
    "vacuous": ("0", "yellow"),
    "valid": ("✓", "green"),
    NOT_TRIED: ("·", "dim"),
}
"""Signs of the answers, those that matter most first."""

HEADS = {
    "delivery.redeliver": "re-\ndeliver",
    "delivery.duplicate": "dupli-\ncate",
    "delivery.delay": "delay",
    "delivery.reorder": "re-\norder",
    "process.crash": "crash",
    "process.stop": "stop",
    "process.pause": "pause",
    "link.cut": "cut",
    "link.refuse": "refuse",
    "message.corrupt": "cor-\nrupt",
    SEVERAL: "several",
}
"""Heads of columns, short enough for eighty columns in all."""

LONGEST_EVIDENCE = 110
MOST_OPEN = 12
"""How many plans that stayed unknown are told one by one."""


def show(console: Console, exploration: Exploration, choreography: Choreography) -> None:
    """Print all that a search found, what matters most last, where it is still seen."""
    if exploration.trials or exploration.not_tried:
        console.print(table(coverage(exploration)))
        console.print(legend(exploration))
    for line in open_questions(exploration):
        say(console, line, "yellow")
    for note in exploration.notes:
        say(console, f"note: {note}", "dim")
    if exploration.red is not None:
        console.print(Rule("without any fault", style="red", align="left"))
        show_run(console, exploration.red, choreography)
    for number, failure in enumerate(exploration.failures, 1):
        show_failure(console, failure, choreography, f"failure {number}", others(exploration, failure))
    say(console, verdict(exploration), style(exploration))


def show_failure(console: Console, failure: Failure, choreography: Choreography, title: str, also: int = 0) -> None:
    """Print a failure: the smallest plan in words, the evidence, the timeline, a test to paste, how to see it again."""
    how = f"failed {failure.failed} of {failure.of} fresh runs on {failure.run.stage}"
    if also:
        how += f", and so did {also} other {'plan' if also == 1 else 'plans'}"
    console.print(Rule(f"{title}: plan {failure.plan.digest}", style="red", align="left"))
    say(console, f"{how}; the smallest plan:")
    show_run(console, failure.run, choreography)
    say(console, "as a test:\n")
    code = source(failure.plan, evidence(failure))
    # As it is, whatever the width: a line that was broken for the eye could not be pasted.
    console.print(Syntax(code, "python").highlight(code), soft_wrap=True)
    if failure.file:
        say(console, f"again: misstep replay {failure.file}", "bold")


def show_run(console: Console, run: Run, choreography: Choreography) -> None:
    """Print a run: its plan, what is wrong with it, and how it went."""
    say(console, "\n".join(f"  {line}" for line in plan_lines(run.plan)))
    wrong = tuple(each for each in run.verdicts if each.answer in ("invalid", "unknown"))
    if wrong:
        say(console, "\n".join(f"  {line}" for line in verdict_lines(wrong)), "red")
    say(console, f"\n{story_text(choreography, run.history, sagas=concerned(run))}\n")


def say(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: it may hold anything, so no markup is read in it, and the terminal breaks its lines."""
    console.print(Text(text, style=style), soft_wrap=True)


def table(found: Coverage) -> Table:
    """Return the table of sites and kinds of fault."""
    title = f"{found.exercised} of {len(found.cells)} site × fault exercised"
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    result.add_column("site", no_wrap=True)
    for kind in found.kinds:
        result.add_column(HEADS.get(kind, kind.replace(".", "\n")), justify="center", no_wrap=True)
    last = ""
    for site in found.sites:
        service = site.partition(" ")[0]
        if last and service != last:
            result.add_section()
        last = service
        result.add_row(site, *(cell(found.cells.get((site, kind), Counter())) for kind in found.kinds))
    return result


def cell(counts: Counter[str]) -> Text:
    """Return how many plans answered what."""
    text = Text()
    for answer, (sign, colour) in SIGNS.items():
        if counts[answer]:
            text.append(" " if text else "")
            text.append(sign if counts[answer] == 1 else f"{counts[answer]}{sign}", style=colour)
    return text


def legend(exploration: Exploration) -> Text:
    """Return what the signs mean, and how much was left out."""
    counts = Counter({**exploration.counts, NOT_TRIED: len(exploration.not_tried)})
    text = Text()
    for answer, (sign, colour) in SIGNS.items():
        if counts[answer]:
            text.append(f"{sign} {counts[answer]} {answer}   ", style=colour)
    if exploration.equivalent:
        text.append(f"{exploration.equivalent} left out, since another plan does the same", style="dim")
    return text


def open_questions(exploration: Exploration) -> Iterable[str]:
    """Yield each plan that is neither valid nor invalid, and why."""
    still_open = [trial for trial in exploration.trials if trial.answer not in ("valid", "invalid")]
    for trial in still_open[:MOST_OPEN]:
        faults = ", ".join(map(str, trial.plan.faults))
        yield f"{trial.answer}: {trial.plan.drives[0].driver} with {faults}: {trial.why}"
    if len(still_open) > MOST_OPEN:
        yield f"and {len(still_open) - MOST_OPEN} more; --json has them all"


def others(exploration: Exploration, failure: Failure) -> int:
    """Return how many other plans show the same failure."""
    return sum(trial.same_as == failure.plan.digest for trial in exploration.trials)


def evidence(failure: Failure) -> list[str]:
    """Return what is wrong, a line each, for a comment above a test."""
    lines = [f"{checker}: {finding.text}" for checker, finding in failure.findings]
    return [line if len(line) <= LONGEST_EVIDENCE else f"{line[: LONGEST_EVIDENCE - 1]}…" for line in lines][:3]


def verdict(exploration: Exploration) -> str:
    """Return the last line: what it comes to."""
    where = f"{exploration.choreography} on {exploration.stage}"
    tried = f"{len(exploration.trials)} plans in {exploration.seconds:.0f} s, seed {exploration.seed}"
    if exploration.not_tried:
        tried += f", {len(exploration.not_tried)} not tried"
    if exploration.ended:
        return f"{where}: {'invalid' if exploration.red else 'unknown'}: {exploration.ended}"
    if exploration.failures:
        count = len(exploration.failures)
        return f"{where}: invalid: {count} failing {'plan' if count == 1 else 'plans'} ({tried})"
    if not exploration.trials:
        return f"{where}: unknown: there was no time to try any plan ({tried}); give it more by --time"
    if exploration.exit_status:
        return f"{where}: unknown: {len(exploration.trials) - exploration.counts['valid']} plans say nothing ({tried})"
    return f"{where}: valid ({tried})"


def style(exploration: Exploration) -> str:
    """Return the colour of what it comes to."""
    return ("bold green", "bold red", "bold yellow")[exploration.exit_status]
