"""Run the service on this machine until Ctrl-C: `python -m serve`."""

import sys

from serve.launch import main

if __name__ == "__main__":
    sys.exit(main())
