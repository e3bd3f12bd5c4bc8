"""Decodes one image of ImageNet, cut to 224x224; needs neither torch nor MPI, since loader processes do this."""

import io
import math
import tarfile
from dataclasses import dataclass

import numpy as np
from PIL import Image

from repro.draws import generator
from repro.errors import UserError

SIDE = 224
RESIZED = 256
SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
SHAPE = (SIDE, SIDE, 3)


@dataclass(frozen=True)
class Request:
    """An image file, or a part of one, and how to cut it.

    Args:
        offset, size: bytes of the file that hold the image; size -1 stands for all.
        draw: (seed, epoch, index), which decide the random crop and flip; None for the centre crop.
    """

    path: str
    offset: int
    size: int
    draw: tuple[int, int, int] | None


def decode(request: Request) -> np.ndarray:
    """Return the image as uint8, shape (224, 224, 3).

    Raises:
        UserError: the file is missing, or the image is damaged.
    """
    try:
        with open(request.path, "rb") as file:
            file.seek(request.offset)
            content = file.read(request.size)
    except OSError as error:
        raise UserError(f"{request.path} cannot be read: {error.strerror}") from None
    try:
        # Some of ImageNet's files are grey or CMYK, and one that is called JPEG is a PNG.
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as opened:
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = "no image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise UserError(f"{_name(request)} is damaged: {what}") from None
    cut = centre_crop(image) if request.draw is None else random_crop(image, request.draw)
    return np.asarray(cut)


def random_crop(image: Image.Image, draw: tuple[int, int, int]) -> Image.Image:
    """Return a random part of the image, resized to 224x224 and mirrored or not (Szegedy et al. 2015).

    The part has 8 to 100 % of the area and an aspect from 3/4 to 4/3; after ten parts that do not fit, it is the
    largest centre part with such an aspect.
    """
    random = generator("imagenet augmentation", *draw)
    box = _random_box(image.width, image.height, random)
    # Cut first: resize's own `box` would blend in pixels from outside.
    cut = image.crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else cut


def centre_crop(image: Image.Image) -> Image.Image:
    """Return the image resized so that the shorter side is 256, cut to 224x224 around the centre."""
    shorter = min(image.size)
    width, height = (RESIZED * side // shorter for side in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + SIDE, top + SIDE))


def _random_box(width: int, height: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * random.uniform(*SCALE)
        aspect = math.exp(random.uniform(*LOG_RATIO))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
            return left, top, left + w, top + h
    low, high = RATIO
    w, h = min(width, round(height * high)), min(height, round(width / low))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _name(request: Request) -> str:
    """Return what to call the image: its file, and its own name in an archive, which stands in the block before it."""
    if request.offset == 0:
        return request.path
    with open(request.path, "rb") as file:
        file.seek(request.offset - tarfile.BLOCKSIZE)
        header = file.read(tarfile.BLOCKSIZE)
    return f"{header[:100].rstrip(bytes(1)).decode(errors='replace')} in {request.path}"
