"""Find the file and line of a project that an error was raised in."""

import traceback
from collections.abc import Collection
from pathlib import Path


def last_frame_in(error: BaseException, files: Collection[str | Path]) -> traceback.FrameSummary | None:
    """Return the innermost frame of an error's traceback that is in one of these files, None where there is none."""
    names = {str(file) for file in files}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in names]
    return frames[-1] if frames else None


def line_in(error: BaseException, file: str | Path) -> int | None:
    """Return the line of a file that an error was raised in or passed through, None where it did not."""
    frame = last_frame_in(error, [file])
    return frame.lineno if frame else None
