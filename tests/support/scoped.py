"""Chains of backends that tests make up."""

from functools import partial
from types import SimpleNamespace


class Scoped:
    """A chain of `backend`, whose methods take the scope before their other arguments."""

    def __init__(self, backend, scope) -> None:
        self._backend = backend
        self._scope = scope

    @property
    def pool(self):
        return SimpleNamespace(since=self.pending_since)

    def __getattr__(self, name):
        return partial(getattr(self._backend, name), self._scope)


class WithChains:
    """A backend of which each chain is a `Scoped`, and which is its own other parts."""

    atoll = node = property(lambda self: self)

    def chain(self, scope):
        return Scoped(self, scope)
