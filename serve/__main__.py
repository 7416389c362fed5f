"""`python -m serve`: the champion behind HTTP on this machine, until Ctrl-C."""

import sys

from serve.launch import main

if __name__ == "__main__":
    sys.exit(main())
