"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from overpaint.errors import PatchError


def write_whole(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that at every moment it holds the old file or the new one.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one
    rename; the temporary file is gone whatever happens. Raises :class:`PatchError` if ``path``
    cannot be written.
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
            with suppress(OSError, ValueError):  # nothing shall hide the error that led here
                temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise PatchError(
            f"cannot write {str(path)!r}: {reason}; give the name of a file in an existing folder "
            "that you may write to"
        ) from error
