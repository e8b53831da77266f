"""`python -m node`: the same as the command `atoll`."""

import sys

from node import startup

if __name__ == "__main__":
    trouble = startup.problem()
    if trouble is not None:
        sys.exit("atoll: error: " + trouble)

    try:
        from node.cli import main
    except KeyboardInterrupt:  # it takes a moment, and the traceback would not help the user
        sys.exit(130)
    sys.exit(main())
