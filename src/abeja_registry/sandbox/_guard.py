"""The guard: rejects requests over the socket that a web page in a browser may have sent.

A page of any web site can send requests to loopback. The guard rejects:

- a host name that is not allowed: by DNS rebinding, a page's own name leads to this machine;
- another origin in `Origin` or `Sec-Fetch-Site`, which browsers set; without both, in `Referer`;
- a body under `/_sandbox` that is not JSON: a form sends one without a preflight request.

Beyond loopback, `/_sandbox` needs a token too, except for its health.
"""

import ipaddress
import re
import reprlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from ._responses import CONTROL, HEALTH, JSON_REQUIRED, error_response, is_control
from ._secrets import is_one_of

LOCALHOST = "localhost"
# An address in brackets, or a name; then a port.
AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[^\]]*)?\]|([A-Za-z0-9._-]+))(?::([0-9]*))?")
# A request to a proxy has an absolute URL in its first line.
ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(/.*)?", re.DOTALL)
ORIGIN = re.compile(r"(https?)://(.*)")
# The origin precedes the path, in a URL of any scheme.
URL = re.compile(r"([^:/?#]*://[^/?#]*).*", re.DOTALL)
DEFAULT_PORTS = {"http": "80", "https": "443"}
JSON = re.compile(r"application/([^;,]+\+)?json", re.IGNORECASE)
# The values of each header, by its lower-case name.
HeaderLists = Mapping[bytes, list[str]]
READS = frozenset({"GET", "HEAD", "OPTIONS"})


class _Rejection(NamedTuple):
    status: int
    description: str
    detail: dict[str, str] | None = None


@lru_cache(maxsize=64)
def canonical_host(text: str) -> str | None:
    """Return the canonical spelling of a host's name or address; None for anything else.

    Args:
        text: A name, an IPv4 address, or an IPv6 address with or without brackets.
    """
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        # The zone of a link-local address names an interface of this machine only.
        ip = ipaddress.ip_address(address.partition("%")[0].removesuffix("."))
    except ValueError:
        name = text.lower().removesuffix(".")
        return name if re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) else None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a canonical host; sends no DNS query."""
    try:
        return host == LOCALHOST or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware that rejects requests which a web page elsewhere may have sent.

    Args:
        app: The application.
        hosts: The allowed canonical hosts, in addition to loopback's and the address of the
            connection.
        token: The bearer token that `/_sandbox` needs; None if it needs none.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str | None) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One loop over the headers: each look-up of Starlette's Headers is another.
        headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value.decode("latin-1"))
        authorities = headers.get(b"host", [])
        if absolute := ABSOLUTE.fullmatch(scope["raw_path"]):
            authority, path = absolute.groups(default=b"/")
            authorities = [*authorities, authority.decode("latin-1")]
            scope = {**scope, "raw_path": path, "path": unquote(path.decode("latin-1"))}
        rejection = self._rejection(scope, headers, authorities)
        if rejection is None:
            await self._app(scope, receive, send)
            return
        challenge = {"WWW-Authenticate": "Bearer"} if rejection.status == 401 else {}
        await error_response(*rejection, headers=challenge)(scope, receive, send)

    def _rejection(
        self, scope: Scope, headers: HeaderLists, authorities: list[str]
    ) -> _Rejection | None:
        if not authorities:
            return _Rejection(403, "the request names no host")
        for authority in authorities:
            host, _ = _split(authority)
            if host is None or not self._is_allowed(host, scope):
                what = f"the host {reprlib.repr(authority)} is not allowed"
                hint = "start the sandbox with --allow-host (allow_hosts=)"
                return _Rejection(403, f"{what}: {hint}")
        sites = headers.get(b"sec-fetch-site", [])
        if any(site not in ("same-origin", "none") for site in sites):
            return _Rejection(403, "a web page elsewhere sent the request")
        origins = headers.get(b"origin", [])
        if not origins and not sites:
            # Beyond loopback browsers send neither with a GET, and old ones with no request.
            origins = [_origin_of(url) for url in headers.get(b"referer", [])]
        for origin in origins:
            if not _is_same_origin(origin, authorities[-1]):
                what = f"a web page of {reprlib.repr(origin)} sent the request"
                return _Rejection(403, f"{what}: it is another origin")
        return self._control_rejection(scope, headers) if is_control(scope) else None

    def _control_rejection(self, scope: Scope, headers: HeaderLists) -> _Rejection | None:
        # A container's health check has no token; the response shows nothing.
        if self._token is not None and scope["path"] != HEALTH:
            authorization = headers.get(b"authorization", [""])[0]
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not is_one_of(token.strip(), [self._token]):
                need = f"beyond loopback, {CONTROL} needs the control token"
                return _Rejection(401, f"{need}: Authorization: Bearer …")
        if scope["method"] not in READS:
            for kind in headers.get(b"content-type", []):
                if not JSON.fullmatch(kind.partition(";")[0].strip()):
                    return _Rejection(400, f"body: {JSON_REQUIRED}", {"field": "body"})
        return None

    def _is_allowed(self, host: str, scope: Scope) -> bool:
        # DNS rebinding makes a page's name point here; no page's name is the address itself.
        address = (scope.get("server") or ("", None))[0]
        return is_loopback(host) or host in self._hosts or host == canonical_host(address)


@lru_cache(maxsize=64)
def _split(authority: str) -> tuple[str | None, str]:
    """Return the canonical host and the port of `host:port`; None for an invalid host."""
    match = AUTHORITY.fullmatch(authority)
    if match is None:
        return None, ""
    address, name, port = match.groups(default="")
    return canonical_host(address or name), port


def _origin_of(url: str) -> str:
    match = URL.fullmatch(url)
    return url if match is None else match[1]


def _is_same_origin(origin: str, authority: str) -> bool:
    match = ORIGIN.fullmatch(origin)
    if match is None:
        return False
    scheme, own = match.groups()
    default = DEFAULT_PORTS[scheme]
    (host, port), (own_host, own_port) = _split(authority), _split(own)
    return own_host is not None and (own_host, own_port or default) == (host, port or default)
