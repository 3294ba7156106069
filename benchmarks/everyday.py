"""The commands of every day on a chain of 1,000 revisions, against Alembic's own of the same kind."""

import shutil
from functools import partial
from pathlib import Path

from benchmarks import chain
from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import copy_of_project

SIZE = 1000
AIM = 1.0
PAIRS = (
    (("make", "status"), ("venv/bin/alembic", "current")),
    (("make", "log"), ("venv/bin/alembic", "current")),
    (("make", "history"), ("venv/bin/alembic", "history", "--indicate-current")),
)


def everyday(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of `make status`, `make log` and `make history`, with all revisions applied."""
    with copy_of_project(directory / "everyday") as copy:
        shutil.rmtree(copy.versions, ignore_errors=True)
        chain.write(copy.versions, SIZE)
        copy.run("make", "migrate")
        tasks = [Task(" ".join(command), partial(copy.seconds, *command)) for pair in PAIRS for command in pair]
        for task in tasks:
            task.run()  # Python then has its bytecode
        times = in_turns(tasks, runs)
    return [Comparison(f"every day, {SIZE}", a, b, AIM) for a, b in zip(times[0::2], times[1::2], strict=True)]
