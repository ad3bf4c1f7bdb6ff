"""Where settings come from, and how each is checked."""
