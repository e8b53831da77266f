"""The worlds of other rooms, for the tests of this one."""

from tests.unit.view.conftest import code, devnet_class, net

__all__ = ["code", "devnet_class", "net"]
