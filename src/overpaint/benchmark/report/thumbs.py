"""Pictures inside the page: small, each as a data URI."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from overpaint.errors import DataError

SIDE = 192  # pixels; they are shown at half of that, sharp on dense screens too
QUALITY = 82


@lru_cache(maxsize=4096)
def data_uri(path: Path) -> str:
    """The picture in the file, at most ``SIDE`` wide, as WebP; DataError when it is none.

    Toybox's small pictures are doubled: WebP keeps colour at half of the resolution, and theirs
    would run over its edges.
    """
    buffer = io.BytesIO()
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except OSError as error:
        raise DataError(
            f"expected a picture, got {str(path)!r}: {error.strerror or 'a damaged file'}; remove "
            "it, then the report goes without"
        ) from error
    width, height = small.size
    if 2 * max(width, height) <= SIDE:
        small = small.resize((2 * width, 2 * height), Image.Resampling.LANCZOS)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return uri("image/webp", buffer.getvalue())


def uri(kind: str, content: bytes) -> str:
    """``content`` of the media type ``kind`` as an address that holds it all."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
