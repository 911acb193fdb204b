"""Images cut to a box."""

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..data.catalogue import ImageSource
from ..data.decoding import BadImage, decode


class CroppedImages:
    """The images of another source, each cut to its box.

    ``boxes`` (N, 4), int: left, top, right, bottom in pixels of the image at ``locations[k]``; right and bottom are
    the first column and row outside. A box that reaches beyond the picture is clipped."""

    def __init__(self, images: ImageSource, locations: Sequence[str], boxes: np.ndarray):
        self.images = images
        self.boxes = dict(zip(locations, np.asarray(boxes).tolist(), strict=True))

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"crop {self.images.fingerprint}\n".encode())
        digest.update("".join(f"{location} {box}\n" for location, box in self.boxes.items()).encode())
        return digest.hexdigest()

    def read(self, location: str) -> np.ndarray:
        """Pixels in the box, uint8 (H, W, 3). Raises ``BadImage`` as ``decode``, and for a box outside the picture."""
        box, content = self.boxes[location], self.images.read(location)
        image = decode(content, location) if isinstance(content, bytes) else Image.fromarray(content)
        left, top, right, bottom = (int(v) for v in np.clip(box, 0, [image.width, image.height] * 2))
        if left >= right or top >= bottom:
            raise BadImage(f"{location}: the box {tuple(box)} is empty in a picture of {image.width} x {image.height}")
        return np.asarray(image.crop((left, top, right, bottom)))
