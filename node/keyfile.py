"""The file of a validator's consensus key: the 32 secret bytes as one line of hexadecimal."""

import os
from pathlib import Path

from node.primitives.errors import UserError
from node.primitives.keys import SigningKey

MAX_FILE_BYTES = 1024


def load_validator_key(path: Path) -> SigningKey:
    """Read a key file. Raises UserError; the text never quotes what the file holds."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES).strip()
    except OSError as error:
        raise UserError(f"{path}: cannot read the validator key: {error.strerror}") from None
    try:
        return SigningKey(bytes.fromhex(text.decode("ascii").removeprefix("0x")))
    except (ValueError, UserError):
        raise UserError(
            f"{path}: not a validator key: 64 hexadecimal digits are expected, the secret of a "
            "secp256k1 key; restore the file from a copy"
        ) from None


def save_validator_key(path: Path, key: SigningKey) -> None:
    """Write a new key file that only its owner can read. An existing file is never replaced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(key.secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
