"""Servers, a model of a registry, and helpers for tests."""
