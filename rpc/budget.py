"""The memory that all connections of an endpoint may keep together, besides the limit of each."""


class Budget:
    """A number of bytes that all connections share."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0


class Share:
    """The part of a budget that one connection holds. A small message needs none of it: `free` bytes do not
    count, so that connections that hold much leave the others what they need.
    """

    def __init__(self, budget: Budget, free: int) -> None:
        self._budget = budget
        self._free = free
        self._held = 0

    def hold(self, size: int) -> bool:
        """Hold `size` bytes from now on; False, and nothing more than before, where there is no room."""
        more = max(0, size - self._free) - self._held
        if more > 0 and self._budget.used + more > self._budget.total:
            return False
        self._held += more
        self._budget.used += more
        return True
