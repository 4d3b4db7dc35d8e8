"""What a search found, for people: a table of sites and faults, the smallest failing plan and its story, a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from misstep.chaos.explorer.coverage import NOT_TRIED, Coverage, coverage
from misstep.chaos.explorer.outcome import Exploration, Failure
from misstep.chaos.paste import source
from misstep.harness.choreography.words import Choreography
from misstep.harness.history.history import History
from misstep.harness.report.failure import concerned, plan_lines, story_text, verdict_lines
from misstep.harness.runner import Run
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
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

MOST_OPEN = 12
"""How many plans that stayed unknown are told one by one."""


def show(console: Console, exploration: Exploration, choreography: Choreography) -> None:
    """Print all that a search found, what matters most last, where it is still seen."""
    if exploration.trials or exploration.not_tried:
        console.print(table(coverage(exploration)))
        console.print(legend(exploration))
    for line in open_questions(exploration):
        console.print(line, style="yellow", markup=False, highlight=False)
    for note in exploration.notes:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)
    if exploration.red is not None:
        console.print(red(exploration.red, choreography))
    for number, failure in enumerate(exploration.failures, 1):
        console.print(shown(failure, choreography, number, exploration))
    console.print(Text(verdict(exploration), style=style(exploration)), soft_wrap=True)


def table(found: Coverage) -> Table:
    """Return the table of sites and kinds of fault."""
    title = f"{found.exercised} of {len(found.cells)} site × fault exercised"
    result = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    result.add_column("site", no_wrap=True)
    for kind in found.kinds:
        result.add_column(kind.replace(".", "\n"), justify="center")
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


def shown(failure: Failure, choreography: Choreography, number: int, exploration: Exploration) -> RenderableType:
    """Return a failure: the smallest plan in words, the evidence, the timeline, how to see it again."""
    run = failure.run
    also = sum(trial.same_as == failure.plan.digest for trial in exploration.trials)
    how = f"failed {failure.failed} of {failure.of} fresh runs on {run.stage}"
    how += f", and so did {also} other plans" if also else ""
    parts: list[RenderableType] = [
        Rule(f"failure {number}: plan {failure.plan.digest}", style="red", align="left"),
        Text(f"{how}; the smallest plan:"),
        indented("\n".join(plan_lines(failure.plan))),
        *story(choreography, run),
        Text("as a test:"),
        Padding(Syntax(source(failure.plan, evidence(failure)), "python", background_color="default"), (0, 2)),
    ]
    if failure.file:
        parts.append(Text(f"again: misstep replay {failure.file}", style="bold"))
    return Group(*parts)


def red(run: Run, choreography: Choreography) -> RenderableType:
    """Return a clean run that failed."""
    title = Rule("without any fault", style="red", align="left")
    return Group(title, indented("\n".join(plan_lines(run.plan))), *story(choreography, run))


def replayed(run: Run, choreography: Choreography, answer: str) -> RenderableType:
    """Return a plan that was run once more."""
    where = f"{choreography.name} on {run.stage}: {answer}"
    return Group(indented("\n".join(plan_lines(run.plan))), *story(choreography, run), Text(where, style="bold"))


def story(choreography: Choreography, run: Run) -> Iterable[RenderableType]:
    """Yield what is wrong with a run, and how it went."""
    wrong = tuple(each for each in run.verdicts if each.answer in ("invalid", "unknown"))
    if wrong:
        yield indented("\n".join(verdict_lines(wrong)), style="red")
    yield indented(told(choreography, run.history, concerned(run)))


def told(choreography: Choreography, history: History, sagas: tuple[int, ...]) -> str:
    """Return the timelines of sagas."""
    return story_text(choreography, history, sagas=sagas)


def evidence(failure: Failure) -> list[str]:
    """Return what is wrong, a line each, for a comment above a test."""
    return [f"{checker}: {finding.text}" for checker, finding in failure.findings][:3]


def indented(text: str, style: str = "") -> RenderableType:
    """Return text two columns in; it may hold anything, so no markup is read in it."""
    return Padding(Text(text, style=style), (0, 2))


def verdict(exploration: Exploration) -> str:
    """Return the last line: what it comes to."""
    where = f"{exploration.choreography} on {exploration.stage}"
    tried = f"{len(exploration.trials)} plans in {exploration.seconds:.0f} s, seed {exploration.seed}"
    if exploration.not_tried:
        tried += f", {len(exploration.not_tried)} not tried for want of time"
    if exploration.ended:
        return f"{where}: {'invalid' if exploration.red else 'unknown'}: {exploration.ended}"
    if exploration.failures:
        count = len(exploration.failures)
        return f"{where}: invalid: {count} failing {'plan' if count == 1 else 'plans'} ({tried})"
    if exploration.exit_status:
        return f"{where}: unknown: {len(exploration.trials) - exploration.counts['valid']} plans say nothing ({tried})"
    return f"{where}: valid ({tried})"


def style(exploration: Exploration) -> str:
    """Return the colour of what it comes to."""
    return ("bold green", "bold red", "bold yellow")[exploration.exit_status]
