"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from overpaint.errors import OutputError, OverpaintError


def write_whole(path: Path, data: bytes, error: type[OverpaintError] = OutputError) -> None:
    """Write ``data`` to ``path`` so that at every moment it holds the old file or the new one.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one
    rename; the temporary file is gone whatever happens.

    Args:
        path: The file.
        data: All that it is to hold.
        error: What is raised if ``path`` cannot be written.
    """
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            # 0o666 lets the user's umask decide, which the 0o600 of `tempfile` would not.
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            with suppress(OSError, ValueError):  # must not hide the error that led here
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as cause:  # ValueError: a path with a null character
        reason = getattr(cause, "strerror", None) or str(cause)
        raise error(
            f"cannot write {str(path)!r}: {reason}; give the name of a file in an existing folder "
            "that you may write to"
        ) from cause
