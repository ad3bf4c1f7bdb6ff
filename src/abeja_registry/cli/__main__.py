"""`python -m abeja_registry.cli`, the same as `abeja-registry`."""

from . import script

if __name__ == "__main__":
    script()
