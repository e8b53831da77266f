"""Key files of a node, readable only by their owner.

A validator's consensus key is the 32 secret bytes as one line of hexadecimal, an identity the 32 bytes of its
seed.
"""

from pathlib import Path

from node.primitives.errors import UserError
from node.primitives.files import read_file
from node.primitives.keys import SigningKey
from node.storage.files import write_new
from p2p.identity import Identity

MAX_FILE_BYTES = 1024


def load_validator_key(path: Path) -> SigningKey:
    """Read a key file. Raises UserError; its text never quotes the content of the file."""
    text = read_file(path, what="the validator key", limit=MAX_FILE_BYTES).strip()
    try:
        return SigningKey(bytes.fromhex(text.decode("ascii").removeprefix("0x")))
    except (ValueError, UserError):
        raise UserError(
            f"{path}: not a validator key: 64 hexadecimal digits are expected, the secret of a "
            "secp256k1 key; restore the file from a copy"
        ) from None


def save_validator_key(path: Path, key: SigningKey) -> None:
    """Write a new key file. An existing file is never replaced."""
    write_new(path, [key.secret.hex().encode() + b"\n"], mode=0o600)


def save_identity(path: Path, identity: Identity) -> None:
    """Write the seed of an identity, as `save_validator_key` does. `Identity.load` reads the file."""
    write_new(path, [identity.to_bytes()], mode=0o600)
