"""Write a picture to the file that the user names, or to standard output."""

from collections.abc import Mapping
from pathlib import Path

from dbkit import files
from dbkit.errors import InputError
from dbkit.redaction.outputs import print_report

STDOUT = "-"


def choose_format(named: str | None, output: str | None, by_suffix: Mapping[str, str], default: str) -> str:
    """Return the format that is named, else that of the file's suffix, else the default.

    Raises InputError for an empty name of a file, and for a suffix that is not known.
    """
    if output == "":
        raise InputError("--output is empty.", "Name a file, or - for standard output.")
    if named:
        return named
    suffix = Path(output).suffix.lower() if output and output != STDOUT else ""
    if not suffix:
        return default
    if suffix not in by_suffix:
        raise InputError(
            f"no format is known by the suffix of {output}.",
            f"Name one with --format, or use {', '.join(by_suffix)}.",
        )
    return by_suffix[suffix]


def write_picture(content: str, output: str | None, summary: str) -> None:
    """Write a picture whose texts are labels. A regular file is written whole or not at all. Raises InputError."""
    if output is None or output == STDOUT or files.is_stdout(Path(output)):
        print_report(content)
        return
    try:
        files.write_file(Path(output), f"{content}\n")
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}.") from error
    print(f"Wrote {output}: {summary}.")
