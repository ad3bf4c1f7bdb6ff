"""The base class of all clients: pickling and copying them with their sessions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any, Generic, Self, TypeVar

from .._settings.settings import Settings
from .clock import Clock
from .session import AsyncSession, Session

S = TypeVar("S", Session, AsyncSession)
C = TypeVar("C", bound="SessionOwner[Any]")

# Attributes that a client derives from its session; all others belong to a subclass.
_DERIVED = {"_session", "raw", "repositories", "tags"}


def _attributes(client: object) -> dict[str, Any]:
    """Return the attributes that a subclass has set, in the dict and in slots."""
    attributes = dict(vars(client))
    for kind in type(client).__mro__:
        for slot in vars(kind).values():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):  # the slot is empty
                    attributes[slot.__name__] = slot.__get__(client)
    return {name: value for name, value in attributes.items() if name not in _DERIVED}


def _set_attributes(client: object, attributes: Mapping[str, Any]) -> None:
    """Set the attributes of a subclass on a client."""
    for name, value in attributes.items():
        # Not setattr(): a subclass's __setattr__ may rely on attributes that are not set yet.
        object.__setattr__(client, name, value)


class SessionOwner(Generic[S]):
    """A client that owns a session."""

    _session_class: type[S]
    _session: S

    def __getstate__(self) -> tuple[Settings, Clock, dict[str, Any]]:
        return self._session.picklable_settings(), self._session.clock, _attributes(self)

    def __setstate__(self, state: tuple[Settings, Clock, dict[str, Any]]) -> None:
        settings, clock, attributes = state
        _set_attributes(self, attributes)
        self._session = self._session_class.open(settings, None, clock)

    def _copy(self, session: S) -> Self:
        """Return a client with the same attributes over another session.

        The constructor of a subclass is not called.
        """
        client = client_over(type(self), session)
        _set_attributes(client, _attributes(self))
        return client


def client_over(cls: type[C], session: Session | AsyncSession) -> C:
    """Return a client of a class over a session, without calling its constructor."""
    client = cls.__new__(cls)
    client._session = session
    return client
