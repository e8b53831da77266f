"""On whose behalf a task works."""

from contextvars import ContextVar

CALLER: ContextVar[object] = ContextVar("CALLER", default=None)
"""What stands for a user: the connection that asked, or another node on behalf of its users; None for the
node itself. Tasks that are started inherit it. Who shares something out between users compares it."""
