"""What all connections of an endpoint may keep in memory together, beside what each may."""


class Budget:
    """So many bytes, shared by everybody."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0


class Share:
    """What one connection holds of a budget. A small message needs none of it: `free` bytes do not count, so
    that those who hold much leave the others what they need."""

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
