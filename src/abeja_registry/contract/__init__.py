"""Compares the API with its reference, by read-only calls.

`client.check_contract()` returns a `ContractReport`. Its text can be pasted into a public bug
report: it has no secrets, no e-mail addresses, and no ids or names from the registry.
"""

from ._report import ContractReport, Finding, Status

__all__ = ["ContractReport", "Finding", "Status"]
