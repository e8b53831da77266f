"""`python -m node`: the same as the command `atoll`."""

import sys

from node import startup

if __name__ == "__main__":
    trouble = startup.problem()
    if trouble is not None:
        sys.exit("atoll: error: " + trouble)

    from node.cli import main

    sys.exit(main())
