"""The API as it is, beside its reference: read-only calls, and what they showed.

`client.check_contract()` makes a `ContractReport`. Printed, it can be pasted where others read it:
no secret, no e-mail address, no id and no name of what the registry holds is in it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.client import responses
from textwrap import wrap
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from abeja_registry import __version__

from ._api import reference
from ._api.flows import EACH_CALL, Flow
from ._api.operations import Operation, get_repositories, get_repository, get_repository_tags
from ._api.reference import DEFAULT_LIMIT, Shape, differences, rows, strings
from ._display import html_table
from ._http.adapter import AsyncHttpClientAdapter, HttpClientAdapter
from ._http.session import AsyncSession, Session
from ._settings.settings import DEFAULT_BASE_URL, Setting
from ._settings.sources import CLI_FILE, DEFAULT
from ._validation import quote_segment
from .exceptions import (
    Attempt,
    Error,
    Forbidden,
    HttpError,
    InvalidResponse,
    NotFound,
    TransportError,
    Unauthorized,
)

__all__ = ["ContractReport", "Finding", "Status"]

Status = Literal["ok", "differs", "unknown"]

# More than any server is likely to put on a page.
LARGE_LIMIT = 10_000
# Assumption: ids count up, and no repository has reached this one.
MISSING_ID = "9999999999999"
# Repositories that are looked at for one that has tags.
_CANDIDATES = 3
# Rows of the large page that are compared with the reference.
_COMPARED = 100
# What an answer says of itself is shown below this.
_SHOWN_BELOW = 1_000_000
# Characters of what was found on a line of a report, at the least.
_LEAST_WIDTH = 20

_NOT_REACHED = "not reached"
_NO_REPOSITORY = "no repository to look at"
_CONNECTION, _TLS, _AUTHENTICATION = "connection", "TLS", "authentication"
_MISSING = "a missing repository"
_FAILED = (HttpError, InvalidResponse, TransportError)
# How OpenSSL calls what failed.
_TLS_REASON = re.compile(r"\[SSL: ([A-Z0-9_]{1,60})\]")
# Characters of an exception's text that are shown.
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What was looked at.
        status: "ok", "differs" from what the reference says, or "unknown" where there was nothing
            to look at.
        detail: What was found.
    """

    subject: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class ContractReport:
    """How the API compares with its reference; printed, a table.

    Attributes:
        findings: What was looked at, in the order in which it was.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return all(finding.status != "differs" for finding in self.findings)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._counts()})"

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Return the report as a table, for notebooks."""
        rows = ((each.subject, each.status, each.detail) for each in self.findings)
        return html_table(self._counts(), ("subject", "status", "detail"), rows)

    def _counts(self) -> str:
        statuses = [finding.status for finding in self.findings]
        return ", ".join(f"{statuses.count(each)} {each}" for each in get_args(Status))

    def table(self, width: int = 100) -> str:
        """Return the report as a table, with its last column wrapped to a width.

        Args:
            width: Characters of a line; what was found has 20 of them at the least.
        """
        subjects = max((len(finding.subject) for finding in self.findings), default=0)
        statuses = len("differs")
        lines = []
        for finding in self.findings:
            detail = wrap(finding.detail, max(width - subjects - statuses - 4, _LEAST_WIDTH))
            first, *more = detail or [""]
            lines.append(f"{finding.subject:{subjects}}  {finding.status:{statuses}}  {first}")
            lines += [f"{'':{subjects}}  {'':{statuses}}  {line}" for line in more]
        return "\n".join([*(line.rstrip() for line in lines), self._counts()])


def check(session: Session) -> ContractReport:
    """Compare the API behind a session with its reference."""
    return session.run(_Check(session).flow(), EACH_CALL)


async def acheck(session: AsyncSession) -> ContractReport:
    """As `check`, awaited."""
    return await session.run(_Check(session).flow(), EACH_CALL)


# -- the work, written once -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _List:
    """A list of the API's, and what the reference says of it."""

    operation: str
    key: str
    noun: str
    page: Shape
    row: Shape

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


_REPOSITORIES = _List(
    "get_repositories",
    "registry_repositories",
    "repository",
    reference.REPOSITORY_PAGE,
    reference.LISTED_REPOSITORY,
)
_TAGS = _List("get_repository_tags", "tags", "tag", reference.TAG_PAGE, reference.TAG)
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
        # What is between us and the API's socket, so that the response alone tells about it.
        self._through = ""
        if isinstance(session.sender, HttpClientAdapter | AsyncHttpClientAdapter):
            self._through = ", as a call through a user-supplied client shows"
        elif session.sender.proxy is not None:
            self._through = ", as a call through the proxy that the environment names shows"
        self._host = urlsplit(settings.base_url).hostname or ""
        self._organization_id = settings.organization_id
        self._anonymous = settings.authorization is None
        self._https = settings.base_url.startswith("https:")
        self._secrets = settings.secrets()
        # What may be somebody's name, were a field called so.
        self._seen: set[str] = set()
        self._findings: dict[str, Finding] = {}
        system = f"Python {platform.python_version()} on {platform.system()}"
        self._note("versions", "ok", f"abeja-registry {__version__}, {system}")
        for setting in settings.resolution.shown:
            if setting.source != DEFAULT:
                self._note(f"setting {setting.name}", "ok", _told_setting(setting))
        defaults = [each.name for each in settings.resolution.shown if each.source == DEFAULT]
        self._note("settings by default", "ok", ", ".join(defaults) or "none")
        for subject in _SUBJECTS:
            self._note(subject, "unknown", _NOT_REACHED)

    def flow(self) -> Flow[ContractReport]:
        if (yield from self._check_access()):
            ask = partial(get_repositories, self._organization_id)
            _, listed = yield from self._list(_REPOSITORIES, {"": ask})
            ids = self._ids(listed)
            asks = {each: partial(get_repository_tags, self._organization_id, each) for each in ids}
            with_tags, _ = yield from self._list(_TAGS, asks)
            yield from self._repository(with_tags)
            yield from self._missing()
        return ContractReport(tuple(self._findings.values()))

    def _note(self, subject: str, status: Status, detail: str) -> None:
        self._findings[subject] = Finding(subject, status, detail)

    # -- the way to the API, and in --

    def _check_access(self) -> Flow[bool]:
        """Whether the API answers."""
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
        self._note(_CONNECTION, "ok", "there is one" + self._through)
        if not self._https:
            self._note(_TLS, "unknown", "not spoken: the base URL is an http one")
        elif self._through:
            # Whether another client checks certificates is its owner's affair.
            self._note(_TLS, "ok", "spoken" + self._through)
        else:
            self._note(_TLS, "ok", "spoken, with a certificate that is trusted")

    def _no_response(self, error: TransportError) -> None:
        """Note how far a call without a response came."""
        last = error.history[-1]
        problem = self._without_host(last)
        if self._through:
            # The text may name others; of OpenSSL's words the code names nobody.
            reason = _TLS_REASON.match(last.message)
            problem = _told(error) + (f": {reason[1]}" if reason else "") + self._through
        if last.stage == "request":
            self._connected()
            self._note(_AUTHENTICATION, "differs", f"no answer: {_told(error)}")
        elif last.stage == "tls":
            self._note(_CONNECTION, "ok", "there is one" + self._through)
            self._note(_TLS, "differs", problem)
        else:
            self._note(_CONNECTION, "differs", problem)

    def _without_host(self, attempt: Attempt) -> str:
        text = str(attempt).replace(self._host, "[the host]")
        return "".join(each for each in text if each.isprintable())[:_SHOWN]

    def _authenticated(self, error: Error | None) -> bool:
        """Note what an answer says of the credential, and return whether to go on."""
        if isinstance(error, Unauthorized):
            what = "none is sent" if self._anonymous else "the credential is not taken"
            self._note(_AUTHENTICATION, "differs", f"{_told(error)}: {what}")
            return False
        if isinstance(error, Forbidden):
            what = "the credential may not read the registry of this organization"
            self._note(_AUTHENTICATION, "differs", f"{_told(error)}: {what}")
            return False
        if error is not None:
            self._note(_AUTHENTICATION, "unknown", f"nothing is said of it: {_told(error)}")
        elif self._anonymous:
            self._note(_AUTHENTICATION, "ok", "no credential is sent, and none is asked for")
        else:
            self._note(_AUTHENTICATION, "ok", "the credential is taken")
        return True

    # -- the operations --

    def _asked(self, subject: str, operation: Operation) -> Flow[dict[str, Any] | None]:
        """Return what an operation brought; where it fails, that is what is noted."""
        try:
            result = yield operation
        except _FAILED as error:
            self._note(subject, "differs", _told(error))
            return None
        return result.body

    def _list(
        self, of: _List, asks: Mapping[str, Callable[..., Operation]]
    ) -> Flow[tuple[str, list[Any]]]:
        """Look at the first of some lists that has rows; return which it is, and its rows."""
        name, first = "", None
        for name in asks:
            first = yield from self._asked(of.fields, asks[name]())
            if first is None or rows(first, of.key):
                break
        if first is None:
            if not asks:
                for subject in of.subjects:
                    self._note(subject, "unknown", _NO_REPOSITORY)
            return name, []
        second = yield from self._asked(of.order, asks[name]())
        large = yield from self._asked(of.large, asks[name](limit=LARGE_LIMIT))
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
        self._single_repository((yield from self._asked(_REPOSITORY_FIELDS, operation)))

    def _missing(self) -> Flow[None]:
        try:
            yield get_repository(self._organization_id, MISSING_ID)
        except NotFound as error:
            self._note(_MISSING, "ok", f"{_told(error)}, {_told_body(error)}")
        except _FAILED as error:
            self._note(_MISSING, "differs", f"{_told(error)}, not NotFound (404)")
        else:
            self._note(_MISSING, "differs", "a success, not NotFound (404)")

    # -- what an answer shows --

    def _compare(self, subject: str, shape: Shape, values: Sequence[object], noun: str) -> None:
        if not values:
            self._note(subject, "unknown", f"no {noun} to look at")
            return
        self._seen.update(strings(values))
        differing = differences(shape, values, self._seen, self._secrets)
        if differing:
            self._note(subject, "differs", differing)
        else:
            self._note(subject, "ok", f"as in the reference ({len(values)} looked at)")

    def _default_page_size(self, of: _List, page: dict[str, Any]) -> None:
        limit, wrong = _limit(of, page)
        if wrong:
            self._note(of.page_size, "differs", wrong)
        elif limit != DEFAULT_LIMIT:
            detail = f"{_number(limit)}, where the reference shows {DEFAULT_LIMIT}"
            self._note(of.page_size, "differs", detail)
        else:
            self._note(of.page_size, "ok", str(limit))

    def _single_repository(self, body: dict[str, Any] | None) -> None:
        if body is not None:
            self._compare(_REPOSITORY_FIELDS, reference.REPOSITORY, [body], "")
            self._compare(_EMBEDDED_FIELDS, reference.TAG, rows(body, "tags"), "tag")

    def _large_limit(self, of: _List, page: dict[str, Any] | None) -> None:
        if page is None:
            return
        limit, wrong = _limit(of, page)
        if wrong or limit > LARGE_LIMIT:
            self._note(of.large, "differs", wrong or f"answered as {_number(limit)}")
        elif limit < LARGE_LIMIT:
            self._note(of.large, "ok", f"clamped to {limit}")
        else:
            self._note(of.large, "ok", "not clamped")

    def _order(self, of: _List, first: list[Any], second: list[Any]) -> None:
        if len(first) < 2:
            self._note(of.order, "unknown", "fewer than two rows to compare")
        elif first == second:
            self._note(of.order, "ok", "the same on two reads")
        elif len(first) == len(second) and all(row in second for row in first):
            self._note(of.order, "differs", "the same rows in another order on a second read")
        else:
            detail = "other rows on a second read: the order changes, or somebody changed the list"
            self._note(of.order, "differs", detail)

    def _ids(self, listed: list[Any]) -> list[str]:
        """Return the ids of the first repositories, of those that can be asked for."""
        found = []
        for row in listed[:_CANDIDATES]:
            repository_id = row.get("id") if isinstance(row, dict) else None
            with suppress(TypeError, ValueError):
                quote_segment("repository_id", repository_id)
                found.append(str(repository_id))
        return found


# -- in words -------------------------------------------------------------------------------------


def _told_setting(setting: Setting) -> str:
    """Return where a setting is from, and its value where that names nothing and nobody."""
    # The file's keys stand beside the name of a profile.
    source = CLI_FILE if CLI_FILE in setting.source else setting.source
    value = str(setting.value)
    if setting.name == "organization_id":
        return f"from {source}"
    if setting.name == "credential":
        return f"{value.partition(' ')[0]} from {source}"
    if setting.name == "base_url" and value != DEFAULT_BASE_URL:
        scheme = value.partition(":")[0]
        return f"another than {DEFAULT_BASE_URL}, an {scheme} one, from {source}"
    return f"{value} from {source}"


def _told(error: Error) -> str:
    """Return what kind of error it is: what else it says may name somebody."""
    kind = type(error).__name__
    if isinstance(error, HttpError):
        told = f"{kind} ({error.status_code})"
    elif isinstance(error, InvalidResponse):
        told = f"{kind}: the body is no JSON object, or too large"
    else:
        told = f"{kind} ({error.history[-1].error})"
    attempts = len(error.history)
    return told if attempts < 2 else f"{told}, after {attempts} attempts"


def _told_body(error: HttpError) -> str:
    code = error.error != responses.get(error.status_code or 0)
    json = "json" in error.headers.get("content-type", "").lower()
    detail = error.error_detail is not None
    return (
        f"{'JSON' if json else 'no JSON'}, {'with' if code else 'without'} a code in `error`,"
        f" {'with' if detail else 'without'} `error_detail`"
    )


def _limit(of: _List, page: dict[str, Any]) -> tuple[int, str]:
    """Return the limit that a page says it has, and what is wrong with it."""
    limit, held = page.get("limit"), len(rows(page, of.key))
    if type(limit) is not int:
        return 0, f"not said: the page holds {held} rows, and no whole number as its limit"
    if limit < max(1, held):
        return limit, f"said to be {_number(limit)}, and the page holds {held} rows"
    return limit, ""


def _number(value: int) -> str:
    return str(value) if abs(value) < _SHOWN_BELOW else "a number far too large"


def _head(of: _List, page: dict[str, Any]) -> dict[str, Any]:
    """Return a page with as many of its rows as are compared."""
    return page | {of.key: rows(page, of.key)[:_COMPARED]} if rows(page, of.key) else page


def _identity(row: object) -> object:
    """Return what tells a row from others."""
    return row.get("id", row) if isinstance(row, dict) else row
