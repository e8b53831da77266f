"""Reading a file that a person gave: what keeps it from being read is told in one line."""

from pathlib import Path

from node.primitives.errors import UserError


def read_file(path: Path, *, what: str, limit: int) -> bytes:
    """All bytes of `path`, at most `limit`. `what` names such a file, for the errors ("a manifest").

    Raises UserError: no such file, a directory, no permission, too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {what} is expected there") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no system has
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot read {what}: {reason}") from None
    if len(content) > limit:
        raise UserError(f"{path}: too large for {what} (over {limit} bytes)")
    return content
