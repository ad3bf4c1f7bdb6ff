"""Compares the API with its reference by read-only calls."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import responses
from typing import Any
from urllib.parse import urlsplit

from abeja_registry import __version__

from .._api.flows import EACH_CALL, Flow
from .._api.operations import Operation, get_repositories, get_repository, get_repository_tags
from .._http.adapter import AsyncHttpClientAdapter, HttpClientAdapter
from .._http.session import AsyncSession, Session
from .._settings.settings import DEFAULT_BASE_URL, Setting
from .._settings.sources import CLI_FILE, DEFAULT
from .._validation import quote_segment
from ..exceptions import (
    Attempt,
    Error,
    Forbidden,
    HttpError,
    InvalidResponse,
    NotFound,
    TransportError,
    Unauthorized,
)
from ._report import ContractReport, Finding, Status
from ._schemas import default_limit, differences, rows, schema, strings

# More rows than a server is likely to return in one page.
LARGE_LIMIT = 10_000
# Assumption: ids are assigned in ascending order, and no repository has the id 9999999999999 yet.
MISSING_ID = "9999999999999"
# The number of repositories to search for one with tags.
_CANDIDATES = 3
# The number of rows of a page that are compared with the reference.
_COMPARED = 100
# Numbers of a response are shown below this; a larger one may be an id.
_SHOWN_BELOW = 1_000_000
_NOT_REACHED = "not reached"
_NO_REPOSITORY = "no repository to check"
_CONNECTION, _TLS, _AUTHENTICATION = "connection", "TLS", "authentication"
_MISSING = "a missing repository"
_FAILED = (HttpError, InvalidResponse, TransportError)
# OpenSSL's code of a failure.
_TLS_REASON = re.compile(r"\[SSL: ([A-Z0-9_]{1,60})\]")
# Characters of an exception's text in a report.
_MAX_SHOWN = 200


def check(session: Session) -> ContractReport:
    """Compare the API behind a session with its reference."""
    return session.run(_Check(session).flow(), EACH_CALL)


async def acheck(session: AsyncSession) -> ContractReport:
    """As `check`, awaited."""
    return await session.run(_Check(session).flow(), EACH_CALL)


# -- the work, written once -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ListSpec:
    """One of the API's lists, with the names of its schemas."""

    operation: str
    key: str
    noun: str
    page: str
    row: str

    def of(self, aspect: str) -> str:
        return f"{self.operation}, {aspect}"

    @property
    def fields(self) -> str:
        return self.of("fields")

    @property
    def row_fields(self) -> str:
        return self.of(f"fields of a {self.noun}")

    @property
    def page_size(self) -> str:
        return self.of("default page size")

    @property
    def large(self) -> str:
        return self.of(f"a limit of {LARGE_LIMIT}")

    @property
    def order(self) -> str:
        return self.of("order")

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.fields, self.row_fields, self.page_size, self.large, self.order)


_REPOSITORIES = _ListSpec(
    "get_repositories",
    "registry_repositories",
    "repository",
    "RepositoryPage",
    "ListedRepository",
)
_TAGS = _ListSpec("get_repository_tags", "tags", "tag", "TagPage", "Tag")
_REPOSITORY_FIELDS = "get_repository, fields"
_EMBEDDED_FIELDS = "get_repository, fields of a tag"

_SUBJECTS = (
    _CONNECTION,
    _TLS,
    _AUTHENTICATION,
    *_REPOSITORIES.subjects,
    *_TAGS.subjects,
    _REPOSITORY_FIELDS,
    _EMBEDDED_FIELDS,
    _MISSING,
)


class _Check:
    def __init__(self, session: Session | AsyncSession) -> None:
        settings = session.settings
        # A client or a proxy in between hides the API's socket: only responses tell about it.
        self._through = ""
        if isinstance(session.sender, HttpClientAdapter | AsyncHttpClientAdapter):
            self._through = " (through a user-supplied client)"
        elif session.sender.proxy is not None:
            self._through = " (through the environment's proxy)"
        self._host = urlsplit(settings.base_url).hostname or ""
        self._organization_id = settings.organization_id
        self._anonymous = settings.authorization is None
        self._https = settings.base_url.startswith("https:")
        self._secrets = settings.secrets()
        # The texts in responses: a field with such a name may name somebody.
        self._seen: set[str] = set()
        self._findings: dict[str, Finding] = {}
        system = f"Python {platform.python_version()} on {platform.system()}"
        self._note("versions", "ok", f"abeja-registry {__version__}, {system}")
        for setting in settings.resolution.shown:
            if setting.source != DEFAULT:
                self._note(f"setting {setting.name}", "ok", _describe_setting(setting))
        defaults = [each.name for each in settings.resolution.shown if each.source == DEFAULT]
        self._note("settings by default", "ok", ", ".join(defaults) or "none")
        for subject in _SUBJECTS:
            self._note(subject, "unknown", _NOT_REACHED)

    def flow(self) -> Flow[ContractReport]:
        if (yield from self._check_access()):
            operation = partial(get_repositories, self._organization_id)
            _, listed = yield from self._list(_REPOSITORIES, {"": operation})
            tags = partial(get_repository_tags, self._organization_id)
            operations = {each: partial(tags, each) for each in self._ids(listed)}
            with_tags, _ = yield from self._list(_TAGS, operations)
            yield from self._repository(with_tags)
            yield from self._missing()
        return ContractReport(tuple(self._findings.values()))

    def _note(self, subject: str, status: Status, detail: str) -> None:
        self._findings[subject] = Finding(subject, status, detail)

    # -- connection, TLS, authentication --

    def _check_access(self) -> Flow[bool]:
        """Whether the API responds to this credential."""
        error: Error | None = None
        try:
            yield get_repositories(self._organization_id, limit=1)
        except _FAILED as caught:
            error = caught
        if isinstance(error, TransportError):
            self._no_response(error)
            return False
        self._connected()
        return self._authenticated(error)

    def _connected(self) -> None:
        self._note(_CONNECTION, "ok", "connected" + self._through)
        if not self._https:
            self._note(_TLS, "unknown", "not used: the base URL is http")
        elif self._through:
            # A user-supplied client may accept any certificate.
            self._note(_TLS, "ok", "connected" + self._through)
        else:
            self._note(_TLS, "ok", "connected, with a trusted certificate")

    def _no_response(self, error: TransportError) -> None:
        """Record the stage at which a call without a response failed."""
        last = error.history[-1]
        problem = self._without_host(last)
        if self._through:
            # The message may hold names, except for OpenSSL's code.
            reason = _TLS_REASON.match(last.message)
            problem = _describe(error) + (f": {reason[1]}" if reason else "") + self._through
        if last.stage == "request":
            self._connected()
            self._note(_AUTHENTICATION, "differs", f"no response: {_describe(error)}")
        elif last.stage == "tls":
            self._note(_CONNECTION, "ok", "connected" + self._through)
            self._note(_TLS, "differs", problem)
        else:
            self._note(_CONNECTION, "differs", problem)

    def _without_host(self, attempt: Attempt) -> str:
        text = str(attempt).replace(self._host, "[the host]")
        return "".join(each for each in text if each.isprintable())[:_MAX_SHOWN]

    def _authenticated(self, error: Error | None) -> bool:
        """Record whether the credential was accepted; return whether to continue."""
        if isinstance(error, Unauthorized):
            what = "no credential was sent" if self._anonymous else "the credential is invalid"
            self._note(_AUTHENTICATION, "differs", f"{_describe(error)}: {what}")
            return False
        if isinstance(error, Forbidden):
            what = "the credential has no permission to read this organization's registry"
            self._note(_AUTHENTICATION, "differs", f"{_describe(error)}: {what}")
            return False
        if error is not None:
            self._note(
                _AUTHENTICATION, "unknown", f"the response does not tell: {_describe(error)}"
            )
        elif self._anonymous:
            self._note(_AUTHENTICATION, "ok", "no credential was sent, and none is required")
        else:
            self._note(_AUTHENTICATION, "ok", "the credential is accepted")
        return True

    # -- the operations --

    def _fetch(self, subject: str, operation: Operation) -> Flow[dict[str, Any] | None]:
        """Return the response of an operation; record a failure as the subject's result."""
        try:
            result = yield operation
        except _FAILED as error:
            self._note(subject, "differs", _describe(error))
            return None
        return result.body

    def _list(
        self, of: _ListSpec, operations: Mapping[str, Callable[..., Operation]]
    ) -> Flow[tuple[str, list[Any]]]:
        """Check the first of some lists that has rows; return its key and its rows."""
        name, first = "", None
        for name in operations:
            first = yield from self._fetch(of.fields, operations[name]())
            if first is None or rows(first, of.key):
                break
        if first is None:
            if not operations:
                for subject in of.subjects:
                    self._note(subject, "unknown", _NO_REPOSITORY)
            return name, []
        second = yield from self._fetch(of.order, operations[name]())
        large = yield from self._fetch(of.large, operations[name](limit=LARGE_LIMIT))
        pages = [page for page in (first, second, large) if page is not None]
        heads = [_head(of, page) for page in pages]
        self._compare(of.fields, of.page, heads, "")
        most = max((rows(head, of.key) for head in heads), key=len)
        self._compare(of.row_fields, of.row, most, of.noun)
        self._default_page_size(of, first)
        if second is not None:
            self._order(of, *([_identity(row) for row in rows(page, of.key)] for page in heads[:2]))
        self._large_limit(of, large)
        return name, rows(first, of.key)

    def _repository(self, repository_id: str) -> Flow[None]:
        if not repository_id:
            self._note(_REPOSITORY_FIELDS, "unknown", _NO_REPOSITORY)
            self._note(_EMBEDDED_FIELDS, "unknown", _NO_REPOSITORY)
            return
        operation = get_repository(self._organization_id, repository_id)
        self._single_repository((yield from self._fetch(_REPOSITORY_FIELDS, operation)))

    def _missing(self) -> Flow[None]:
        try:
            yield get_repository(self._organization_id, MISSING_ID)
        except NotFound as error:
            self._note(_MISSING, "ok", f"{_describe(error)}, {_describe_body(error)}")
        except _FAILED as error:
            self._note(_MISSING, "differs", f"{_describe(error)}, not NotFound (404)")
        else:
            self._note(_MISSING, "differs", "a success, not NotFound (404)")

    # -- responses --

    def _compare(self, subject: str, expected: str, values: Sequence[object], noun: str) -> None:
        if not values:
            self._note(subject, "unknown", f"no {noun} to check")
            return
        self._seen.update(strings(values))
        differing = differences(schema(expected), values, self._seen, self._secrets)
        if differing:
            self._note(subject, "differs", differing)
        else:
            self._note(subject, "ok", f"as in the reference ({len(values)} checked)")

    def _default_page_size(self, of: _ListSpec, page: dict[str, Any]) -> None:
        limit, wrong = _limit(of, page)
        if wrong:
            self._note(of.page_size, "differs", wrong)
        elif limit != default_limit():
            detail = f"{_number(limit)}, but {default_limit()} in the reference"
            self._note(of.page_size, "differs", detail)
        else:
            self._note(of.page_size, "ok", str(limit))

    def _single_repository(self, body: dict[str, Any] | None) -> None:
        if body is not None:
            self._compare(_REPOSITORY_FIELDS, "Repository", [body], "")
            self._compare(_EMBEDDED_FIELDS, "Tag", rows(body, "tags"), "tag")

    def _large_limit(self, of: _ListSpec, page: dict[str, Any] | None) -> None:
        if page is None:
            return
        limit, wrong = _limit(of, page)
        if wrong or limit > LARGE_LIMIT:
            self._note(of.large, "differs", wrong or f"returned as {_number(limit)}")
        elif limit < LARGE_LIMIT:
            self._note(of.large, "ok", f"clamped to {limit}")
        else:
            self._note(of.large, "ok", "not clamped")

    def _order(self, of: _ListSpec, first: list[Any], second: list[Any]) -> None:
        if len(first) < 2:
            self._note(of.order, "unknown", "fewer than two rows to compare")
        elif first == second:
            self._note(of.order, "ok", "the same in two reads")
        elif len(first) == len(second) and all(row in second for row in first):
            self._note(
                of.order, "differs", "the second read returned the same rows in another order"
            )
        else:
            detail = (
                "the second read returned other rows: the order is unstable, or the list changed"
            )
            self._note(of.order, "differs", detail)

    def _ids(self, listed: list[Any]) -> list[str]:
        """Return the valid ids of the first repositories."""
        ids = []
        for row in listed[:_CANDIDATES]:
            repository_id = row.get("id") if isinstance(row, dict) else None
            with suppress(TypeError, ValueError):
                quote_segment("repository_id", repository_id)
                ids.append(str(repository_id))
        return ids


# -- descriptions ---------------------------------------------------------------------------------


def _describe_setting(setting: Setting) -> str:
    """Describe a setting without values that identify anyone."""
    # The source in the file may include the name of a profile.
    source = CLI_FILE if CLI_FILE in setting.source else setting.source
    value = str(setting.value)
    if setting.name in ("organization_id", "user_agent", "default_headers"):
        return f"from {source}"
    if setting.name == "credential":
        return f"{value.partition(' ')[0]} from {source}"
    if setting.name == "base_url" and value != DEFAULT_BASE_URL:
        scheme = value.partition(":")[0]
        return f"an {scheme} URL other than {DEFAULT_BASE_URL}, from {source}"
    return f"{value} from {source}"


def _describe(error: Error) -> str:
    """Describe an error without its message, which may hold names."""
    kind = type(error).__name__
    if isinstance(error, HttpError):
        text = f"{kind} ({error.status_code})"
    elif isinstance(error, InvalidResponse):
        text = f"{kind}: the body is not a JSON object, or too large"
    else:
        text = f"{kind} ({error.history[-1].error})"
    attempts = len(error.history)
    return text if attempts < 2 else f"{text}, after {attempts} attempts"


def _describe_body(error: HttpError) -> str:
    code = error.error != responses.get(error.status_code or 0)
    json = "json" in error.headers.get("content-type", "").lower()
    detail = error.error_detail is not None
    return (
        f"{'JSON' if json else 'no JSON'}, {'with' if code else 'without'} a code in `error`,"
        f" {'with' if detail else 'without'} `error_detail`"
    )


def _limit(of: _ListSpec, page: dict[str, Any]) -> tuple[int, str]:
    """Return a page's limit, and what is wrong with it."""
    limit, count = page.get("limit"), len(rows(page, of.key))
    if type(limit) is not int:
        return 0, f"the page has {count} rows, and its limit is not a whole number"
    if limit < max(1, count):
        return limit, f"the page has {count} rows, and its limit is {_number(limit)}"
    return limit, ""


def _number(value: int) -> str:
    return str(value) if abs(value) < _SHOWN_BELOW else "a number that is too large"


def _head(of: _ListSpec, page: dict[str, Any]) -> dict[str, Any]:
    """Return a page with only the rows to compare."""
    return page | {of.key: rows(page, of.key)[:_COMPARED]} if rows(page, of.key) else page


def _identity(row: object) -> object:
    """Return a row's id, or the row if it has none."""
    return row.get("id", row) if isinstance(row, dict) else row
