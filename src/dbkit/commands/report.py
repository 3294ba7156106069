"""`dbkit report`: the review of each migration as a page, as the comment of a pull request, or as a job summary."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit import files
from dbkit.commands.kept_proof import KeptOptions, find_or_prove
from dbkit.errors import InputError
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress

if TYPE_CHECKING:
    from dbkit.lint.outcome import LintOutcome
    from dbkit.lint.statement_work import LiveSizes
    from dbkit.pictures.history import History
    from dbkit.project import Project
    from dbkit.reports.review.drawings import Drawings
    from dbkit.reports.review.model import Review
    from dbkit.roundtrip.kept_walk import WalkCache
    from dbkit.roundtrip.outcome import Outcome
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer

STDOUT = "-"
PAGE = "migrations.html"
SUMMARY = "github-summary"
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
MOST_IN_GRAPH = 120
"""The number of revisions in the graph of the history, the newest ones."""
DEFAULT_OUTPUTS = (("html", ""),)


@dataclass(frozen=True)
class ReportOptions(KeptOptions):
    """Options of `dbkit report`."""

    strict: bool
    sizes: Path | None
    """A file with the result of `dbkit sizes`."""
    version: int
    """The major version of PostgreSQL that the advice is for; 0: that of the server it runs on."""
    outputs: tuple[tuple[str, str], ...]
    """Formats, each with the name of its file; "" for the usual one."""


def report(settings: Settings, ini: Path, options: ReportOptions) -> int:
    """Write the review of a proof; return 1 where it or lint has found something that is not accepted."""
    outputs = [(name, _choose_file(name, file)) for name, file in options.outputs or DEFAULT_OUTPUTS]
    _require_places([file for _, file in outputs])
    from dbkit.lint.outcome import LintOutcome
    from dbkit.lint.squawk import find_program
    from dbkit.lint.statement_work import LiveSizes
    from dbkit.pictures.history import History
    from dbkit.roundtrip.outcome import Outcome

    def run(
        server: "ScratchServer", request: "Request", walks: "WalkCache"
    ) -> "tuple[tuple[Outcome, LintOutcome, History, LiveSizes], Project]":
        from dbkit.lint.kept_findings import kept_findings, with_findings
        from dbkit.lint.run import find_in_outcome, lint_outcome, read_live_sizes
        from dbkit.pictures.history import from_script
        from dbkit.roundtrip.prove import prove_at

        request = replace(request, trace=True, keeps_schema=True, strict=options.strict or None)
        outcome, loaded = prove_at(server, settings, ini, request, Progress(), walks)
        rules = find_in_outcome(outcome, loaded, request, options.version, kept_findings(walks.used))
        if walks.made:
            walks.made = with_findings(walks.made, rules, walks.kept, keeps_traces=True)
        live = read_live_sizes(server, loaded, options.sizes)
        linted = lint_outcome(outcome, loaded, request, rules, live)
        history = from_script(loaded.script, last=MOST_IN_GRAPH)
        return (outcome.without_ordinary(), linted, history, live), loaded

    directory = Path.cwd()  # a kept result is shown in the directory that it was made in
    found = find_or_prove(
        settings, ini, "report", options, tuple[Outcome, LintOutcome, History, LiveSizes], run, [find_program()]
    )
    outcome, linted, history, live = found.result
    outcome = outcome.marked(found.seconds, found.problem)
    from dbkit.reports.review.build import find_touched_tables, make_review
    from dbkit.reports.review.drawings import Drawings

    review = make_review(outcome, linted, options.since, live)
    drawings = Drawings(history, outcome.schema, find_touched_tables(outcome))
    written = []
    for name, file in outputs:
        text = _render(name, review, drawings)
        if file == STDOUT or files.is_stdout(directory / file):
            print_report(text)
        elif name == SUMMARY:
            _append(directory / file, text)
        else:
            _write(directory / file, text)
            written.append(file)
    if STDOUT not in (file for _, file in outputs):
        print("\n".join([*review.sentences, *(f"Wrote {file}." for file in written)]))
    return 0 if review.passed else 1


def _render(name: str, review: "Review", drawings: "Drawings") -> str:
    if name == "html":
        from dbkit.reports.review.html import render_html  # it loads Jinja2

        return render_html(review, drawings)
    from dbkit.reports.review import markdown

    renderers: dict[str, Callable[[Review], str]] = {
        "markdown": markdown.render_markdown,
        "github-comment": markdown.render_comment,
        "gitlab-comment": markdown.render_comment,
        SUMMARY: markdown.render_markdown,
    }
    return renderers[name](review)


def _choose_file(name: str, file: str) -> str:
    """Return where a format is written to. Raises InputError for the job summary outside of a job."""
    if file:
        return file
    if name != SUMMARY:
        return PAGE if name == "html" else STDOUT
    summary = os.environ.get(SUMMARY_VARIABLE)
    if not summary:
        raise InputError(
            f"--output {SUMMARY} adds to the file that {SUMMARY_VARIABLE} names, and that is not set.",
            f"GitHub sets it in each step of a job. Elsewhere: --output {SUMMARY}=FILE",
        )
    return summary


def _require_places(chosen: list[str]) -> None:
    """Raise InputError, before anything is proven, for a file that cannot be written, and for two outputs in one."""
    for file in chosen:
        if chosen.count(file) > 1:
            where = "standard output" if file == STDOUT else file
            raise InputError(f"two outputs go to {where}.", "Name a file for each: --output html=page.html")
        if file != STDOUT and not Path(file).absolute().parent.is_dir():
            raise InputError(f"cannot write {file}: there is no directory {Path(file).parent}.")
        if file != STDOUT and Path(file).is_dir():
            raise InputError(f"cannot write {file}: it is a directory.")


def _write(path: Path, text: str) -> None:
    try:
        files.write_file(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error


def _append(path: Path, text: str) -> None:
    """Add to the file of a job summary, which other steps write to, too."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
