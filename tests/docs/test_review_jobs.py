"""The CI jobs of docs/review.md, run as they stand against a server with the API of GitHub or GitLab."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from support.kit import REPOSITORY

MARKER = "<!-- dbkit report alembic.ini -->"
GITHUB, GITLAB = "/repos/o/r/issues", "/api/v4/projects/3/merge_requests/7/notes"
TOKEN = "glpat-of-the-test"
PAGE_SIZE = {"github": 2, "gitlab": 100}
BEFORE = 201
"""Comments of others before the first run: more than two pages."""


class Api(BaseHTTPRequestHandler):
    """The part of both APIs that lists, creates and updates comments, with pages as they have them."""

    server: "Server"

    def do_GET(self) -> None:
        """List comments: GitHub the oldest first, GitLab the newest, unless asked."""
        path, wanted = self._path()
        is_github = path == f"{GITHUB}/7/comments"
        if not is_github and path != GITLAB:
            self._answer(404, {})
            return
        comments = [{"id": number, "body": body} for number, body in sorted(self.server.comments.items())]
        if not is_github and wanted.get("sort") != "asc":
            comments.reverse()
        size = min(PAGE_SIZE["github" if is_github else "gitlab"], int(wanted.get("per_page", "30")))
        page = int(wanted.get("page", "1"))
        more = f'<http://{self.headers["Host"]}{path}?per_page={size}&page={page + 1}>; rel="next"'
        self._answer(200, comments[(page - 1) * size : page * size], more if page * size < len(comments) else "")

    def do_POST(self) -> None:
        """Create a comment."""
        path, _ = self._path()
        self._write(max(self.server.comments, default=0) + 1 if path in (f"{GITHUB}/7/comments", GITLAB) else 0, 201)

    def do_PATCH(self) -> None:
        """Update a comment of GitHub."""
        self._update(f"{GITHUB}/comments/")

    def do_PUT(self) -> None:
        """Update a comment of GitLab."""
        self._update(f"{GITLAB}/")

    def _update(self, prefix: str) -> None:
        number = self._path()[0].removeprefix(prefix)
        self._write(int(number) if number.isdecimal() and int(number) in self.server.comments else 0, 200)

    def _path(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)  # with the host, as a proxy gets it
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _write(self, number: int, status: int) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = "json" in self.headers["Content-Type"]
        body = json.loads(content)["body"] if is_json else parse_qs(content, strict_parsing=True)["body"][0]
        if not number:
            self._answer(404, {})
            return
        self.server.writes.append(self.command)
        self.server.comments[number] = body
        self._answer(status, {"id": number, "body": body})

    def _answer(self, status: int, content: Any, more: str = "") -> None:
        given = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        if TOKEN not in given:
            status, content = 401, {}
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if more:
            self.send_header("Link", more)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    """A server with comments of others, and a list of what was written."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.comments = {number: f"comment {number}, which quotes {MARKER}" for number in range(1, BEFORE + 1)}
        self.writes: list[str] = []


@pytest.fixture
def api() -> Iterator[Server]:
    """A server that answers until the end of the test."""
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def read_job(name: str) -> Any:
    """Return the job of docs/review.md for one of the two."""
    text = (REPOSITORY / "docs/review.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^{name};.*?^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    yaml = pytest.importorskip("yaml", reason="nox -s matrix does not install it")
    return yaml.safe_load(block)


def run(directory: Path, script: str, comment: str, **variables: str) -> int:
    """Run a script as CI does, with a dbkit that has written this comment and has found something."""
    (directory / "written.md").write_text(comment, encoding="utf-8")
    program = directory / "bin" / "python"
    program.parent.mkdir(exist_ok=True)
    program.write_text("#!/bin/sh\ncp written.md comment.md\nexit 1\n")
    program.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(directory),
        **variables,
    }
    command = ["bash", "-e", "-o", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=directory, env=environment, timeout=60, stdout=subprocess.PIPE, check=False)
    assert not done.stdout  # the log of the job has no second copy of the comment
    return done.returncode


def require(*programs: str) -> None:
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def comments_of(number: int, text: str) -> str:
    return f"{MARKER}\nrun {number} & 100 % + ünïcödé 🔴 `a=b`\n{text}"


@pytest.mark.parametrize("others", [0, 1, 150])
def test_a_comment_on_github_is_written_once_and_then_updated(tmp_path: Path, api: Server, others: int) -> None:
    require("gh")
    _, step, _ = read_job("GitHub")
    # gh speaks HTTP with this host alone
    variables = {"GH_TOKEN": TOKEN, "GH_HOST": "github.localhost", "HTTP_PROXY": f"http://127.0.0.1:{api.server_port}"}
    variables |= {"NUMBER": "7", "GITHUB_REPOSITORY": "o/r"}
    check_updates(tmp_path, api, step["run"], variables, others, ["POST", "PATCH", "PATCH"], 0)


@pytest.mark.parametrize("others", [0, 1, 150])
def test_a_comment_on_gitlab_is_written_once_and_then_updated(tmp_path: Path, api: Server, others: int) -> None:
    require("curl", "jq")
    variables = {"REPORT_TOKEN": TOKEN, "CI_API_V4_URL": f"http://127.0.0.1:{api.server_port}/api/v4"}
    variables |= {"CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    check_updates(tmp_path, api, "\n".join(read_job("GitLab")["script"]), variables, others, ["POST", "PUT", "PUT"], 1)
    assert (tmp_path / "token.curlrc").stat().st_mode & 0o077 == 0


def check_updates(  # the parts of the two tests that differ
    directory: Path, api: Server, script: str, variables: dict[str, str], others: int, writes: list[str], code: int
) -> None:
    """Run a job three times, and have others comment between the first and the second run."""
    before = dict(api.comments)
    for number, text in enumerate(("short", "x" * 59_000, "ü" * 29_000)):
        comment = comments_of(number, text)
        (directory / "comment.md").write_text(comment, encoding="utf-8")
        assert run(directory, script, comment, **variables) == code
        (found,) = (body for body in api.comments.values() if body.startswith(MARKER))
        assert found == comment
        if number == 0:
            api.comments |= {1000 + each: f"a later comment {each}" for each in range(others)}
    assert api.writes == writes
    assert before.items() <= api.comments.items()
    assert len(api.comments) == len(before) + 1 + others
