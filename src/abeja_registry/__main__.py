"""`python -m abeja_registry`, the same as `abeja-registry`."""

from .cli import script

if __name__ == "__main__":
    script()
