"""The part of the port through which a node is told to misbehave, or to suffer."""

from typing import Any, Protocol


class FaultBackend(Protocol):
    """Holds for this node only, and only while it runs."""

    @property
    def off(self) -> str | None:
        """Why there are no faults here; None where there are. Nothing else is asked then."""

    def show(self) -> dict[str, Any]:
        """The faults in force, ready for JSON."""

    def set(self, faults: dict[str, Any]) -> dict[str, Any]:
        """Replace the faults in force; the new ones come back whole. Raises `InvalidParams`."""

    def accuse(self, evidence: bytes) -> bool:
        """Take in evidence against validators as if a peer had sent it; whether it is new. Raises
        `InvalidParams`, `ServerError` with the reason where it proves nothing."""
