"""Checked values: the image, the times and the creator of a push."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .. import models
from .._api.dicts import CreatorDict
from .._validation import DIGEST
from ..images import NAME, TAG
from ._errors import InvalidValue, UnknownKey

_DAY, _HOUR = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
TIME = rf"{_DAY}[Tt]{_HOUR}:[0-9]{{2}}(\.[0-9]+)?([Zz]|[+-]{_HOUR})"
TIME_RULE = "a time with its zone, as in 2018-06-07T04:42:34.913644Z"
TEXT = r"[^\ud800-\udfff]*"
EMAIL = r"[^@\s\ud800-\udfff]+@[^@\s\ud800-\udfff]+"
ID = "[0-9]{1,19}"
# Docker's rules for names, in words, and for media types.
NAME_RULE = "lower-case letters and digits, with '.', '_', '__' or dashes between, at most 255"
TAG_RULE = "1 to 128 letters, digits, '_', '.' or '-', the first neither '.' nor '-'"
MEDIA_TYPE = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"
DEFAULT_MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
MAX_INT64 = 2**63 - 1  # SQLite's largest integer

# The person of the reference's examples.
CREATOR: CreatorDict = {
    "updated_at": "2018-01-04T03:02:12Z",
    "role": "admin",
    "is_registered": True,
    "id": "1122334455660",
    "email": "test@abeja.asia",
    "display_name": None,
    "created_at": "2017-05-26T01:38:46Z",
}


def is_integer(value: object) -> bool:
    """Whether it is an integer; True and False are not, although bool derives from int."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_repository(name: object, description: object) -> None:
    """Raise InvalidValue unless these are a repository's name and description."""
    _check("name", name, NAME, NAME_RULE)
    if description is not None:
        _check("description", description, TEXT, "text without lone surrogates")


def check_image(
    repository_id: str,
    name: object,
    size: object = None,
    digest: str | None = None,
    media_type: str | None = None,
) -> dict[str, Any]:
    """Return the name, size, digest and media type of a tag, with defaults for missing ones.

    Raises:
        InvalidValue: One of them breaks its rule.
    """
    _check("name", name, TAG, TAG_RULE)
    if digest is None:
        digest = f"sha256:{_hash(f'{repository_id}:{name}')}"
    if size is None:
        size = 1_000_000 + int(_hash(digest)[:6], 16)
    if media_type is None:
        media_type = DEFAULT_MEDIA_TYPE
    _check("digest", digest, DIGEST, "of the form algorithm:value")
    _check("media_type", media_type, MEDIA_TYPE, "of the form type/subtype")
    if not (isinstance(size, int) and is_integer(size) and 0 <= size <= MAX_INT64):
        raise InvalidValue("size", f"0 to {MAX_INT64} bytes", size)
    return {"name": name, "size": size, "digest": digest, "media_type": media_type}


def _check(field: str, value: object, pattern: str, rule: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InvalidValue(field, rule, value)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def time_text(time: datetime) -> str:
    """Return a time as the API formats it: in UTC, always with microseconds."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def check_time(field: str, value: object) -> str | None:
    """Return a time, a `datetime` or a text of RFC 3339, as the API formats it; None stays None.

    Raises:
        InvalidValue: It is neither, or has no time zone.
    """
    if value is None:
        return None
    try:
        if isinstance(value, str) and re.fullmatch(TIME, value):
            return time_text(datetime.fromisoformat(value.upper()))
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return time_text(value)
    except (ValueError, OverflowError):  # not a date of the calendar, or before year 1
        pass
    raise InvalidValue(field, TIME_RULE, value)


def check_order(created_at: str | None, updated_at: str | None) -> None:
    """Raise InvalidValue if the last push is before the first."""
    if created_at is not None and updated_at is not None and updated_at < created_at:
        raise InvalidValue("updated_at", f"at or after created_at, {created_at}", updated_at)


def times(
    created_at: str | None, updated_at: str | None, now: str, first: str | None = None
) -> dict[str, str]:
    """Return the times of a repository or a tag, with defaults for missing ones.

    Args:
        created_at: The time of its creation, if the caller gave one.
        updated_at: The time of its last update, if the caller gave one.
        now: The current time.
        first: The time of its creation, if it exists already.
    """
    if first is None:
        # A new one is never updated before its creation.
        created = created_at or updated_at or now
        return {"created_at": created, "updated_at": updated_at or created}
    created = created_at or (min(first, updated_at) if updated_at else first)
    updated = updated_at or (max(now, created_at) if created_at else now)
    return {"created_at": created, "updated_at": updated}


def check_creator(value: object) -> str | None:
    """Return a person as JSON; None, for the person of the reference's examples, stays None.

    Args:
        value: An e-mail address, a `Creator` of a client, or a mapping of a person's fields; the
            sandbox generates missing ones.

    Raises:
        InvalidValue: It is none of these, or a field breaks its rule.
        UnknownKey: A person has no such field.
    """
    if value is None:
        return None
    if isinstance(value, str):
        _check("creator", value, EMAIL, "an e-mail address or a person")
        value = {"email": value}
    if isinstance(value, models.Creator):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if not isinstance(value, Mapping):
        raise InvalidValue("creator", "an e-mail address or a person", value)
    for key in value:
        if key not in _PERSON:
            known = ", ".join(_PERSON)
            raise UnknownKey(
                f"creator.{key}", f"a person has no such field; the fields are {known}"
            )
    person: dict[str, Any] = {**CREATOR}
    for key, check in _PERSON.items():
        if key in value:
            person[key] = check(f"creator.{key}", value[key])
    if "id" not in value and person["email"] != CREATOR["email"]:
        # 13 digits; the same address has the same id.
        person["id"] = str(10**12 + int(_hash(person["email"]), 16) % (9 * 10**12))
    return json.dumps(person)


def _check_text(pattern: str, rule: str) -> Callable[[str, object], str]:
    def check(field: str, value: object) -> str:
        _check(field, value, pattern, rule)
        return str(value)

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

# Each field of a person, with its check.
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
            "description": "a person; the sandbox generates missing fields",
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
