"""Networks for tests (docs/testing.md)."""

from node.testing import *  # noqa: F403 - all of its names, and no others
from node.testing import __all__ as __all__
