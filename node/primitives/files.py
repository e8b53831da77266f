"""Reading a file that a user names: a failure is reported in one line."""

from pathlib import Path

from node.primitives.errors import UserError


def read_file(path: Path, *, what: str, limit: int) -> bytes:
    """All bytes of `path`, at most `limit`. `what` names the kind of file in error texts ("a manifest").

    Raises UserError: no such file, a directory, no permission, too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {what} is expected there") from None
    except (OSError, ValueError) as error:  # ValueError: a path that is invalid on every system
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot read {what}: {reason}") from None
    if len(content) > limit:
        raise UserError(f"{path}: too large for {what} (over {limit} bytes)")
    return content
