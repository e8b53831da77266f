"""The worlds of other rooms, for the tests of this one."""

from tests.unit.shard.conftest import kit, make_world, world
from tests.unit.view.conftest import code, devnet_class, net

__all__ = ["code", "devnet_class", "kit", "make_world", "net", "world"]
