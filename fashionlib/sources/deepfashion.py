"""DeepFashion (Liu, Luo, Qiu, Wang, Tang, CVPR 2016), as the official releases are unpacked.

Its images may not be passed on; they are requested from the authors. ``synthetic_deepfashion`` writes made-up garments
in the same file formats.
"""

from .deepfashion_attributes import open_attributes
from .deepfashion_inshop import open_inshop

__all__ = ["open_attributes", "open_inshop"]
