"""`python -m clients HOST:PORT`: put load on an echo server and say what came back."""

import sys

from clients.cli import main

if __name__ == "__main__":
    sys.exit(main())
