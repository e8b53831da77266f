"""The Ed25519 identity of a node and its file."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from p2p import compat
from p2p.errors import IdentityError
from p2p.types import PeerId

__all__ = ["Identity"]

_SEED_SIZE = 32


class Identity:
    """An Ed25519 key; `peer_id` follows from its public half."""

    __slots__ = ("_pair", "_peer_id", "_seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != _SEED_SIZE:
            raise IdentityError(f"an identity is {_SEED_SIZE} bytes, not {len(seed)}")
        self._seed = bytes(seed)
        self._pair = compat.ed25519_pair(self._seed)
        self._peer_id = compat.peer_id_of(self._pair)

    @classmethod
    def generate(cls) -> Identity:
        """A new identity from the system's randomness."""
        return cls(secrets.token_bytes(_SEED_SIZE))

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """The identity of a 32-byte Ed25519 seed (RFC 8032); raises `IdentityError`."""
        return cls(seed)

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """Inverse of `to_bytes`; raises `IdentityError`."""
        return cls(data)

    def to_bytes(self) -> bytes:
        """The secret: the 32-byte Ed25519 seed."""
        return self._seed

    @classmethod
    def load(cls, path: Path) -> Identity:
        """Read an identity file; raises `IdentityError` if it is missing or is not one."""
        try:
            with path.open("rb") as file:
                return cls(file.read(_SEED_SIZE + 1))
        except OSError as error:
            raise IdentityError(f"cannot read the identity {path}: {error.strerror}") from error
        except IdentityError as error:
            raise IdentityError(f"{path} is not an identity file: {error}") from error

    @property
    def peer_id(self) -> PeerId:
        """The libp2p peer id in base58."""
        return self._peer_id

    @property
    def key_pair(self) -> Any:
        """libp2p's key pair, for the Noise handshake."""
        return self._pair

    def __repr__(self) -> str:
        return f"Identity({self._peer_id})"
