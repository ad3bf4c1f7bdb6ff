"""What every client does with its session: it is pickled and copied with it."""

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

# What a client makes of its session; all else is a subclass's.
_OWN = {"_session", "raw", "repositories", "tags"}


def _attributes(client: object) -> dict[str, Any]:
    """Return what a subclass has set on a client, in its dict and in its slots."""
    held = dict(vars(client))
    for kind in type(client).__mro__:
        for slot in vars(kind).values():
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):  # never set
                    held[slot.__name__] = slot.__get__(client)
    return {name: value for name, value in held.items() if name not in _OWN}


def _set_attributes(client: object, held: Mapping[str, Any]) -> None:
    """Set on a client what `_attributes` has returned of another."""
    for name, value in held.items():
        # Past a __setattr__ of the subclass's, which may rely on what is not there yet.
        object.__setattr__(client, name, value)


class SessionOwner(Generic[S]):
    """What every client does with its session."""

    _session_class: type[S]
    _session: S

    def __getstate__(self) -> tuple[Settings, Clock, dict[str, Any]]:
        return self._session.picklable_settings(), self._session.clock, _attributes(self)

    def __setstate__(self, state: tuple[Settings, Clock, dict[str, Any]]) -> None:
        settings, clock, held = state
        _set_attributes(self, held)
        self._session = self._session_class.open(settings, None, clock)

    def _copy(self, session: S) -> Self:
        """Return a client with this one's attributes over another session.

        One of a subclass is not initialized again.
        """
        client = client_over(type(self), session)
        _set_attributes(client, _attributes(self))
        return client


def client_over(cls: type[C], session: Session | AsyncSession) -> C:
    """Return a client of a class over a session, without calling its constructor."""
    client = cls.__new__(cls)
    client._session = session
    return client
