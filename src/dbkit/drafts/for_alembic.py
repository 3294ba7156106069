"""Make the draft for a bare `alembic revision --autogenerate` or `alembic check`, in a separate process.

Alembic's own context is in use in the process that asks: another environment cannot run in it. The answer is one JSON
object on stdout, which gate/comparison.py reads.
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dbkit import project, settings
from dbkit.drafts import describe, draft
from dbkit.drafts.compare import migrate_scratch
from dbkit.drafts.models import ModelsNotCreated
from dbkit.drafts.proof import prove_draft
from dbkit.drafts.render import render_revision
from dbkit.drafts.write_file import NewRevision, make_ids, write_draft
from dbkit.errors import DbkitError, say
from dbkit.gate.drafts import DOES_NOT_RUN, NOT_COMPARED, Answer, AnswerRevision
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.scratch_server import open_server


def make_answer(root: Path, ini: Path, *, proves: bool) -> Answer:
    """Compare the models with the migrations, draft the difference, and prove that where it is wanted."""
    chosen = settings.load(root, ini=ini)
    with open_server(chosen, None) as server:
        loaded = project.load_project(chosen)
        server.wait()
        assert isinstance(server.place, Cluster)  # noqa: S101  # no server was named
        migrated = migrate_scratch(loaded, chosen, server.place, "migrated")
        comparison = migrated.compare_one()
        reasons = {NOT_COMPARED: comparison.notes}
        if not comparison.has_changes:
            return Answer(reasons=reasons)
        made = draft.make_draft(comparison)
        options = migrated.render_options
        problems = list(made.undecided)
        if proves and not problems:
            ids = make_ids(NewRevision("draft"), len(made.revisions))
            with _written_aside(loaded):
                scripts = write_draft(loaded, made, "draft", ids, options, lambda _directives: None)
                proof = prove_draft(server, chosen, loaded, scripts, comparison)
            problems = list(proof.problems)
            for note in proof.notes:
                say(f"the draft was not proven: {note}")
        code = [render_revision(each, options) for each in made.revisions]
        return Answer(
            revisions=[
                AnswerRevision(each.upgrade, each.downgrade, list(each.imports), revision.message)
                for each, revision in zip(code, made.revisions, strict=True)
            ],
            differences=list(describe.describe_differences(comparison)),
            drops=list(describe.list_drops(made)),
            reasons={DOES_NOT_RUN: problems, **reasons},
        )


@contextlib.contextmanager
def _written_aside(loaded: project.Project) -> Iterator[None]:
    """Write new revision files into a temporary directory, without the hooks of alembic.ini for new files."""
    script: Any = loaded.script
    with TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        generate, places = script.generate_revision, script._version_locations
        aside = type(places[0])(directory)

        def generate_aside(*arguments: Any, **options: Any) -> Any:
            return generate(*arguments, **{**options, "version_path": aside})

        script.generate_revision, script._version_locations, script.hooks = generate_aside, [*places, aside], []
        yield


def main() -> None:
    """Print the answer for the project in argv: its root, its settings file, and whether a draft is to be proven."""
    root, ini = map(Path, sys.argv[1:3])
    with contextlib.redirect_stdout(sys.stderr):  # the models may print something
        try:
            answer = make_answer(root, ini, proves="--prove" in sys.argv)
        except ModelsNotCreated as error:
            answer = Answer(unavailable=f"the models' tables cannot be created: {error}")
        except DbkitError as error:
            answer = Answer(unavailable=error.message)
    print(json.dumps(asdict(answer)))


if __name__ == "__main__":
    main()
