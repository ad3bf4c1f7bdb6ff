"""Values of a push beside the image's: its times and its creator, checked."""

import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

# pydantic reads the standard library's TypedDict only from Python 3.12 on.
from typing_extensions import TypedDict

from .. import models

_DAY, _HOUR = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
TIME = rf"{_DAY}[Tt]{_HOUR}:[0-9]{{2}}(\.[0-9]+)?([Zz]|[+-]{_HOUR})"
TIME_RULE = "a time with its zone, as in 2018-06-07T04:42:34.913644Z"
TEXT = r"[^\ud800-\udfff]*"
EMAIL = r"[^@\s\ud800-\udfff]+@[^@\s\ud800-\udfff]+"
ID = "[0-9]{1,19}"


class Refused(Exception):
    """What the store does not do; `status` is the API's for it."""

    status: ClassVar[int]
    detail: dict[str, str] | None = None


class InvalidValue(Refused, ValueError):
    """A value breaks a rule of the registry; `detail` names its field."""

    status = 400

    def __init__(self, field: str, rule: str, value: object) -> None:
        super().__init__(f"{field} must be {rule}, got {reprlib.repr(value)}")
        self.detail = {"field": field}


class UnknownKey(Refused, ValueError):
    """A key that a call does not know; `detail` names it."""

    status = 400

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.detail = {"field": key}


class Creator(TypedDict):
    """Who made a repository or a tag."""

    updated_at: str
    role: str
    is_registered: bool
    id: str
    email: str
    display_name: str | None
    created_at: str


# The person of the reference's examples.
CREATOR: Creator = {
    "updated_at": "2018-01-04T03:02:12Z",
    "role": "admin",
    "is_registered": True,
    "id": "1122334455660",
    "email": "test@abeja.asia",
    "display_name": None,
    "created_at": "2017-05-26T01:38:46Z",
}


def time_text(time: datetime) -> str:
    """Return a time as the API shows it: in UTC, always with microseconds."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def check_time(field: str, value: object) -> str | None:
    """Return a time, a `datetime` or a text of RFC 3339, as the API shows it; None stays None.

    Raises:
        InvalidValue: it is neither, or has no time zone.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and re.fullmatch(TIME, value):
            return time_text(datetime.fromisoformat(value.upper()))
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return time_text(value)
    except (ValueError, OverflowError):  # no day of the calendar, or one before the year 1
        pass
    raise InvalidValue(field, TIME_RULE, value)


def check_order(created_at: str | None, updated_at: str | None) -> None:
    """Raise InvalidValue where the last push is before the first."""
    if created_at is not None and updated_at is not None and updated_at < created_at:
        raise InvalidValue("updated_at", f"at or after created_at, {created_at}", updated_at)


def times(
    created_at: str | None, updated_at: str | None, now: str, first: str | None = None
) -> dict[str, str]:
    """Return when something was created and updated, of which one or both may be given.

    Args:
        created_at: when it was created, if that is given.
        updated_at: when it was updated, if that is given.
        now: the time.
        first: when it was created, if it exists.
    """
    if first is None:
        # It is created and updated at once, and not before it exists.
        created = created_at or updated_at or now
        return {"created_at": created, "updated_at": updated_at or created}
    created = created_at or (min(first, updated_at) if updated_at else first)
    updated = updated_at or (max(now, created_at) if created_at else now)
    return {"created_at": created, "updated_at": updated}


def check_creator(value: object) -> str | None:
    """Return a person as JSON; None, for the one of the reference's examples, stays None.

    Args:
        value: an e-mail address, a `Creator` of a client, or a mapping of a person's fields, of
            which those that are missing are made up.

    Raises:
        InvalidValue: it is none of these, or a field breaks its rule.
        UnknownKey: a person has no such field.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if not re.fullmatch(EMAIL, value):
            raise InvalidValue("creator", "an e-mail address or a person", value)
        value = {"email": value}
    if isinstance(value, models.Creator):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if not isinstance(value, Mapping):
        raise InvalidValue("creator", "an e-mail address or a person", value)
    for key in value:
        if key not in _PERSON:
            known = ", ".join(_PERSON)
            raise UnknownKey(f"creator.{key}", f"a person has no such field, but {known}")
    person: dict[str, Any] = {**CREATOR}
    for key, check in _PERSON.items():
        if key in value:
            person[key] = check(f"creator.{key}", value[key])
    if "id" not in value and person["email"] != CREATOR["email"]:
        # Of 13 digits, and the same for the same address.
        digest = hashlib.sha256(person["email"].encode()).hexdigest()
        person["id"] = str(10**12 + int(digest, 16) % (9 * 10**12))
    return json.dumps(person)


def _check_text(pattern: str, rule: str) -> Callable[[str, object], str]:
    def check(field: str, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise InvalidValue(field, rule, value)
        return value

    return check


def _check_flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(field, "true or false", value)
    return value


def _check_person_time(field: str, value: object) -> str:
    time = check_time(field, value)
    if time is None:
        raise InvalidValue(field, TIME_RULE, value)
    # The reference shows a person's times in whole seconds.
    return time.replace(".000000Z", "Z")


_check_name = _check_text(TEXT, "text without lone surrogates, or null")

# A person's fields, each with its check.
_PERSON: Mapping[str, Callable[[str, object], Any]] = {
    "id": _check_text(ID, "1 to 19 digits as a string"),
    "email": _check_text(EMAIL, "an e-mail address"),
    "role": _check_text(f"(?!$){TEXT}", "text, as in admin"),
    "is_registered": _check_flag,
    "display_name": lambda field, value: None if value is None else _check_name(field, value),
    "created_at": _check_person_time,
    "updated_at": _check_person_time,
}
TIME_SCHEMA = {"type": "string", "format": "date-time"}
_EMAIL_SCHEMA = {"type": "string", "format": "email"}
PERSON_SCHEMA: dict[str, Any] = {
    "anyOf": [
        _EMAIL_SCHEMA,
        {
            "type": "object",
            "description": "a person; what is left out is made up",
            "properties": {
                "id": {"type": "string", "pattern": f"^{ID}$"},
                "email": _EMAIL_SCHEMA,
                "role": {"type": "string", "minLength": 1},
                "is_registered": {"type": "boolean"},
                "display_name": {"type": ["string", "null"]},
                "created_at": TIME_SCHEMA,
                "updated_at": TIME_SCHEMA,
            },
            "additionalProperties": False,
        },
    ]
}
