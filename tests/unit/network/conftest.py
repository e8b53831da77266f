"""The worlds of other rooms, for the tests of this one."""

from tests.unit.beacon.conftest import driver, make_driver, make_net

__all__ = ["driver", "make_driver", "make_net"]
