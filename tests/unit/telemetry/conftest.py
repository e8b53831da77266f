"""The worlds of other rooms, for the tests of this one."""

from tests.unit.shard.conftest import kit, make_world, world

__all__ = ["kit", "make_world", "world"]
