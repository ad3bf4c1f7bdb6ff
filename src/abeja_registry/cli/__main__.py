"""`python -m abeja_registry.cli`, the same as `abeja-registry`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
