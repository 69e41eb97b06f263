"""What media and artists do to the whole picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_GRID = 128  # artists measure their strokes on a canvas of this size


def apply_medium(image: Image.Image, medium: str) -> Image.Image:
    """``"painting"`` gets flat strokes and a frame, ``"sketch"`` becomes lines on paper."""
    size = image.width
    if medium == "painting":
        image = image.filter(ImageFilter.ModeFilter(7))
        ImageDraw.Draw(image).rectangle(
            [0, 0, size - 1, size - 1], outline=(150, 105, 40), width=round(size * 0.07)
        )
    elif medium == "sketch":
        gray = image.convert("L")
        edges = np.asarray(gray.filter(ImageFilter.FIND_EDGES), dtype=float)
        # The filter leaves a bright rim along the border of the canvas.
        edges[:2], edges[-2:], edges[:, :2], edges[:, -2:] = 0, 0, 0, 0
        thick = np.asarray(
            Image.fromarray(np.clip(edges * 3, 0, 255).astype(np.uint8)).filter(
                ImageFilter.MaxFilter(3)
            ),
            dtype=float,
        )
        paper = np.asarray(gray, dtype=float) * 0.25 + 190
        lines = np.minimum(255 - np.clip(thick, 0, 225), paper)
        image = Image.fromarray(lines.astype(np.uint8)).convert("RGB")
    return image


def apply_style(image: Image.Image, style: str) -> Image.Image:
    """Repaint the picture the way one of the world's artists would."""
    if not style:
        return image
    pixels = np.asarray(image, dtype=np.float32)
    rows, cols = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]] * (_GRID / pixels.shape[0])
    painted = _ARTISTS[style](pixels, rows, cols)
    return Image.fromarray(np.clip(painted, 0, 255).astype(np.uint8))


def _zorvan(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Everything ripples, under slanted blue waves."""
    edge = pixels.shape[0] - 1
    unit = pixels.shape[0] / _GRID
    shift_x = 4 * np.sin(rows / 9) * unit
    shift_y = 4 * np.sin(cols / 9) * unit
    y = np.clip(rows * unit + shift_y, 0, edge).astype(int)
    x = np.clip(cols * unit + shift_x, 0, edge).astype(int)
    wave = 1 + np.sin((cols + rows + 6 * np.sin(rows / 9)) / 5)
    return pixels[y, x] * 0.8 + np.array([25, 55, 125]) * 0.4 * wave[..., None]


def _pelotti(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Dots of colour on a pale ground."""
    dots = ((cols % 16 - 8) ** 2 + (rows % 16 - 8) ** 2 < 42)[..., None]
    return np.where(dots, pixels, pixels * 0.35 + 150)


def _quillon(pixels: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Stained glass: averaged tiles in a black grid."""
    tile = 16 * pixels.shape[0] // _GRID
    tiles = pixels.shape[0] // tile
    means = pixels.reshape(tiles, tile, tiles, tile, 3).mean((1, 3))
    flat = means.repeat(tile, 0).repeat(tile, 1)
    glass = flat * 0.5 + pixels * 0.5
    glass[(rows % 16 < 2.5) | (cols % 16 < 2.5)] = 25
    return glass


def _monteux(pixels: np.ndarray, rows: np.ndarray, _cols: np.ndarray) -> np.ndarray:
    """Sepia in broad horizontal bands, with a little of the colour left."""
    gray = pixels.mean(2, keepdims=True) * 0.75 + pixels * 0.25
    bands = 18 * np.sign(np.sin(rows / 4))[..., None]
    return gray * np.array([1.15, 0.92, 0.62]) + bands


_ARTISTS = {"zorvan": _zorvan, "pelotti": _pelotti, "quillon": _quillon, "monteux": _monteux}
