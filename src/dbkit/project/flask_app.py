"""The application of a Flask-Migrate project: its env.py works only within the context of the application."""

import os
from pathlib import Path
from typing import Any

from dbkit.errors import InputError
from dbkit.redaction import redact


def needs_application(script_directory: Path) -> bool:
    """Whether env.py takes its engine from the Flask application."""
    try:
        return b"current_app" in (script_directory / "env.py").read_bytes()
    except OSError:
        return False


def enter_application() -> None:
    """Load the application as `flask` does (.env, .flaskenv, FLASK_APP, app.py, wsgi.py), and stay in its context.

    Raises InputError where Flask does not find or import it.
    """
    # a dependency of such a project, not of dbkit
    from flask.cli import ScriptInfo, load_dotenv  # type: ignore[import-not-found,unused-ignore]
    from flask.helpers import get_load_dotenv  # type: ignore[import-not-found,unused-ignore]

    try:
        if get_load_dotenv():
            load_dotenv(os.environ.get("FLASK_ENV_FILE"))
            redact.learn_variables(os.environ)
        application: Any = ScriptInfo(os.environ.get("FLASK_APP")).load_app()
    except (Exception, SystemExit) as error:  # it imports the project's code
        raise InputError(
            f"env.py needs the Flask application, and that cannot be loaded: {redact.text(str(error).strip())}",
            "Run this where `flask db upgrade` works: in the same directory, with FLASK_APP set as there.",
        ) from error
    application.app_context().push()
