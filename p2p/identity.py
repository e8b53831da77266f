"""The Ed25519 identity of a node and its file."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from p2p import compat
from p2p.errors import IdentityError
from p2p.types import PeerId

_SEED_SIZE = 32


class Identity:
    """An Ed25519 key from its 32-byte seed (RFC 8032). Raises `IdentityError` for another size.

    `peer_id` is the libp2p peer id in base58, `key_pair` is libp2p's, for the Noise handshake.
    """

    __slots__ = ("_seed", "key_pair", "peer_id")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != _SEED_SIZE:
            raise IdentityError(f"an identity is {_SEED_SIZE} bytes, not {len(seed)}")
        self._seed = bytes(seed)
        self.key_pair: Any = compat.ed25519_pair(self._seed)
        self.peer_id: PeerId = compat.peer_id_of(self.key_pair)

    @classmethod
    def generate(cls) -> Identity:
        """A new identity from the system's randomness."""
        return cls(secrets.token_bytes(_SEED_SIZE))

    def to_bytes(self) -> bytes:
        """The secret: the seed."""
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

    def __repr__(self) -> str:
        return f"Identity({self.peer_id})"
