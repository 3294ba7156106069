"""The proof of a project's last revisions, at the end of `dbkit adopt`."""

import os
from dataclasses import replace
from pathlib import Path
from textwrap import indent

from dbkit import hints
from dbkit.adoption.revisions import read_revisions
from dbkit.adoption.site import Site
from dbkit.errors import DbkitError, describe_error
from dbkit.redaction.outputs import TEXT, print_report
from dbkit.settings import load


def print_proof(site: Site, count: int) -> None:
    """Prove the last revisions as `dbkit roundtrip` does, and print the outcome; or, in one line, why that cannot be.

    What the proof finds is no failure of `dbkit adopt`, and neither is an error of the project's own code.
    """
    here = Path.cwd()
    try:
        print_report(_prove(site, count), TEXT)
    except DbkitError as error:
        print(f"not proven: {error.message}")
        print(indent(hints.render(error.hint), "  "), end="\n" if error.hint else "")
    except Exception as error:  # env.py and the revisions are the project's
        print(f"not proven: {type(error).__name__}: {describe_error(error)}")
    finally:
        os.chdir(here)  # it was changed where script_location is relative to the settings file


def _prove(site: Site, count: int) -> str:
    from dbkit.commands.proof_options import ProofOptions, open_proof
    from dbkit.project import load_project
    from dbkit.reports.formats import render_roundtrip
    from dbkit.roundtrip.prove import prove_at
    from dbkit.terminal.progress import Progress

    # a project is loaded once: some revisions cannot be imported twice
    settings = replace(
        load(site.directory, ini=site.settings_file, dotenv=False),
        section=site.section,
        arguments=site.arguments,
        is_foreign=True,
    )
    last = read_revisions(site).newest[:count]
    if not last:
        loaded = load_project(settings)
        last = tuple(script.revision for script in loaded.script.walk_revisions())[:count]
    if not last:
        return "not proven: there are no revisions yet."
    options = ProofOptions(
        start=None,
        to=None,
        server=None,
        url_env=(),
        set_env=(),
        driver="psycopg",
        jobs=None,
        rows=None,
        seed=0,
        name=site.section,
        arguments=site.arguments,
        only=last,
        since=None,
        baseline=None,
    )
    with open_proof(settings, options) as (server, request):
        outcome, _project = prove_at(server, settings, site.settings_file, request, Progress())
    return render_roundtrip(outcome, "text")
