"""Proxies of the environment, NO_PROXY, and hosts."""

from __future__ import annotations

import base64
import ipaddress
import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from importlib.util import find_spec

import httpx

from ..exceptions import ConfigurationError

_PORTS = {"http": 80, "https": 443}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


# -- proxies --------------------------------------------------------------------------------------


def proxy_for(base_url: str) -> str | None:
    """Return the URL of the proxy that the environment names for a base URL.

    On macOS and Windows, the system's settings count if the environment names no proxy.

    Raises:
        ConfigurationError: The proxy is invalid. Its URL is not shown: it may contain a password.
    """
    url = httpx.URL(base_url)
    proxies = urllib.request.getproxies()
    kind = url.scheme if proxies.get(url.scheme) else "all"
    proxy: str | None = proxies.get(kind)
    if not proxy or _bypasses_proxies(url):
        return None
    found = httpx.URL()
    try:
        found = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
        httpx.Proxy(found)  # checks the scheme
        # httpx would percent-encode a space in a host.
        spaced = any(each.isspace() for each in proxy)
        usable = is_host(found.host) and (found.port or 0) <= 65535 and not spaced
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable or (found.scheme.startswith("socks") and not find_spec("socksio")):
        raise ConfigurationError(
            f"{_proxy_source(kind)} cannot be used for {base_url}: it must be an http or https"
            " URL, or a socks5 URL if httpx[socks] is installed"
        )
    return str(found)


def proxy_secrets(proxy: str | None) -> tuple[str, ...]:
    """Return the secrets in a proxy's URL, in each form that an error may quote."""
    url = httpx.URL(proxy or "")
    header = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    return (url.userinfo.decode("ascii"), url.password, header) if url.userinfo else ()


def _proxy_source(kind: str) -> str:
    variables = (name for name in os.environ if name.lower() == f"{kind}_proxy")
    # A lower-case variable takes precedence.
    variable = max(variables, default=None)
    return f"the proxy {'of the system' if variable is None else f'in {variable}'}"


def _bypasses_proxies(url: httpx.URL) -> bool:
    """Whether the environment excludes a URL from proxying.

    requests and httpx read NO_PROXY differently. If either bypasses the proxy, so does this
    package: a credential must not reach a proxy that the user excluded.
    """
    try:
        # Without a port, like requests: macOS matches its exceptions against hosts.
        bypassed = bool(urllib.request.proxy_bypass(url.raw_host.decode("ascii")))
    except (OSError, TypeError, ValueError):  # the system cannot look up the name
        bypassed = False
    return bypassed or any(_excludes(entry, url) for entry in _no_proxy())


def _no_proxy() -> Iterator[str]:
    # requests falls back to the upper-case variable if the lower-case one is empty.
    for value in (
        urllib.request.getproxies().get("no", ""),
        os.environ.get("no_proxy") or os.environ.get("NO_PROXY", ""),
    ):
        for entry in value.lower().split(","):
            parts = entry.split()
            # requests removes spaces in an entry; curl separates entries by them.
            yield from {*parts, "".join(parts)}


def _excludes(entry: str, url: httpx.URL) -> bool:
    """Whether an entry of NO_PROXY, in lower case, excludes a URL."""
    scheme, is_url, rest = entry.rpartition("://")
    if not entry or scheme not in ("", "all", url.scheme):
        return False
    hosts = {each.rstrip(".") for each in (url.raw_host.decode("ascii"), url.host.lower())}
    addresses = _addresses(url.host)
    if _in_network(addresses, rest):
        return True
    for end in "/?#":
        rest = rest.partition(end)[0]
    name, port = _split_port(rest.rpartition("@")[2])
    actual = url.port or _PORTS[url.scheme]
    # httpx drops the default port of an entry that is a URL, which then matches any port.
    if port not in (None, actual) and not (is_url and port == _PORTS.get(scheme)):
        return False
    if not name.strip("."):
        # httpx applies a port or a scheme alone to any host; both libraries ignore a final dot.
        return not name or url.host.endswith(".")
    suffix = _ascii(name.strip("*").strip("."))
    return not suffix or bool(
        addresses & _addresses(name)
        or any(host == suffix or host.endswith(f".{suffix}") for host in hosts)
        or ("*" in name and any(fnmatchcase(host, name.replace("[", "[[]")) for host in hosts))
        # requests does not put an IPv6 address in brackets before the port.
        or f"{url.host}:{actual}" == rest
    )


def _split_port(text: str) -> tuple[str, int | None]:
    """Return the host and the port of an entry; an IPv6 address without its brackets."""
    host, bracket, port = text.rpartition("]")
    if bracket:
        host, port = host.lstrip("["), port.lstrip(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        return text, None
    return host, int(port) if port.isascii() and port.isdigit() else None


def _addresses(host: str) -> set[_Address]:
    """Return the IP addresses that a host spells; an empty set for a name."""
    text = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            # getaddrinfo() reads 127.1, 0x7f000001 and 2130706433 as addresses, too.
            address = ipaddress.IPv4Address(socket.inet_aton(text))
        except (OSError, ValueError):
            return set()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return {address, mapped} if mapped else {address}


def _in_network(addresses: set[_Address], entry: str) -> bool:
    base, slash, mask = entry.partition("/")
    if not slash:
        return False
    for address in _addresses(base):
        with suppress(ValueError):
            prefix = int(mask) if mask.isdecimal() else mask
            network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
            if any(each in network for each in addresses):
                return True
    return False


def _ascii(name: str) -> str:
    with suppress(httpx.InvalidURL):
        return name if name.isascii() else httpx.URL(f"http://{name}").raw_host.decode("ascii")
    return name


# -- hosts ----------------------------------------------------------------------------------------


def is_host(host: str) -> bool:
    """Whether a host has a valid IDNA encoding: labels of 1 to 63 characters."""
    with suppress(UnicodeError):
        return bool(host.encode("idna"))
    return False


def plaintext_hop(base_url: str) -> str | None:
    """Return the URL of an unencrypted connection to another machine, or None."""
    url = httpx.URL(base_url)
    if url.scheme == "https":
        return None
    if not _is_loopback(url.host):
        return base_url
    try:
        proxy = proxy_for(base_url)
    except ConfigurationError:  # the connection pool raises this error and sends nothing
        return None
    if proxy is None or _is_loopback(httpx.URL(proxy).host):
        return None
    return f"{base_url} through a proxy that the environment names"


def _is_loopback(host: str) -> bool:
    # Not *.localhost: many systems ask a DNS server for its address.
    return host == "localhost" or any(each.is_loopback for each in _addresses(host))
