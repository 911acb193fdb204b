"""What the tests of the shop share."""

import pytest

from shop.bulk_jobs import in_float32


@pytest.fixture(scope="module", autouse=True)
def float32():
    """Models compute in float32, in whatever this machine would be fastest."""
    with pytest.MonkeyPatch.context() as patch:
        in_float32(patch)
        yield
