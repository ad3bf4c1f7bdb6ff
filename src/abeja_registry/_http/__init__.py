"""Sending: sessions, connection pools, and the sockets below them."""
