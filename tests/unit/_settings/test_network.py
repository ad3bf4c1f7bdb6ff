"""Proxies and certificates of the environment: used, bypassed or refused."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
import traceback
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import httpcore
import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.certificates import CA_HASH, TLS
from tests.support.configuration import SECRET, SetEnvironment, authorization, refused, sent_by
from tests.support.internals import create_ssl_context, proxy_for
from tests.support.server import Request, Server, any_repository, response
from tests.support.worlds import done

from abeja_registry import APIClient, AsyncAPIClient, AsyncClient, Client, Error

DEFAULT_URL = "https://api.abeja.io"


# -- proxies --------------------------------------------------------------------------------------

PROXIES: dict[str, tuple[dict[str, str], str, str | None]] = {
    "none": ({}, "https://h.example.com", None),
    "https": ({"HTTPS_PROXY": "http://p:1"}, "https://h.example.com", "http://p:1"),
    "https, small": ({"https_proxy": "https://p:1"}, "https://h.example.com", "https://p:1"),
    "http": ({"http_proxy": "http://p:1"}, "http://h.example.com", "http://p:1"),
    "of the other scheme": ({"https_proxy": "http://p:1"}, "http://h.example.com", None),
    "all": ({"ALL_PROXY": "http://p:1"}, "https://h.example.com", "http://p:1"),
    "its own before all": (
        {"https_proxy": "http://p:1", "all_proxy": "http://p:2"},
        "https://h.example.com",
        "http://p:1",
    ),
    "without a scheme": ({"https_proxy": "p:1"}, "https://h.example.com", "http://p:1"),
    "empty": ({"https_proxy": ""}, "https://h.example.com", None),
    "not for the host": (
        {"https_proxy": "http://p:1", "no_proxy": "x,h.example.com"},
        "https://h.example.com/path",
        None,
    ),
    "not for the domain": (
        {"https_proxy": "http://p:1", "NO_PROXY": ".example.com"},
        "https://h.example.com",
        None,
    ),
    "not for the port": (
        {"http_proxy": "http://p:1", "no_proxy": "h.example.com:8080"},
        "http://h.example.com:8080",
        None,
    ),
    "not for another": (
        {"https_proxy": "http://p:1", "no_proxy": "example.org"},
        "https://h.example.com",
        "http://p:1",
    ),
    "for none": ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://h.example.com", None),
}


@pytest.mark.parametrize(("variables", "base_url", "proxy"), PROXIES.values(), ids=PROXIES)
def test_a_proxy_of_the_environment(
    environment: SetEnvironment, variables: dict[str, str], base_url: str, proxy: str | None
) -> None:
    """The variable of the base URL's scheme or ALL_PROXY, unless NO_PROXY names the host."""
    environment(variables)
    assert proxy_for(base_url or DEFAULT_URL) == proxy


@pytest.fixture
def no_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without httpx[socks]."""
    monkeypatch.setitem(sys.modules, "socksio", None)


BAD_PROXIES = {
    "port": f"http://u:{SECRET}@p:port",
    "scheme": f"ftp://u:{SECRET}@p",
    "control character": f"http://u:{SECRET}@p\n",
    "socks": f"socks5://u:{SECRET}@p",
    "socks in capitals": f"SOCKS5://u:{SECRET}@p",
    "socks with names": f"socks5h://u:{SECRET}@p",
    "socks of version 4": f"socks4://u:{SECRET}@p",
    "no host": f"http://u:{SECRET}@",
    "half a scheme": f"//u:{SECRET}@p",
    "a space": f"http://u:{SECRET}@p q",
    "a part of 64 characters": f"http://u:{SECRET}@{'p' * 64}",
}


@pytest.mark.usefixtures("no_socks")
@pytest.mark.parametrize("proxy", BAD_PROXIES.values(), ids=BAD_PROXIES)
@pytest.mark.parametrize("kind", [APIClient, AsyncClient])
def test_an_invalid_proxy_is_refused(
    environment: SetEnvironment, kind: Callable[..., object], proxy: str
) -> None:
    """The constructor's error does not show its password."""
    environment({"https_proxy": proxy, "ABEJA_ORGANIZATION_ID": "20"})
    assert refused(kind, credential={}) == (
        "the proxy in https_proxy cannot be used for https://api.abeja.io: it must be an http or"
        " https URL, or a socks5 URL if httpx[socks] is installed"
    )


def test_a_socks_proxy_with_its_package(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A socks5 proxy is accepted if httpx[socks] is installed."""
    (tmp_path / "socksio.py").touch()
    monkeypatch.delitem(sys.modules, "socksio", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    environment({"all_proxy": "socks5://p:1"})
    assert proxy_for(DEFAULT_URL) == "socks5://p:1"


@pytest.mark.usefixtures("no_socks")
def test_a_user_supplied_client_ignores_the_proxy(environment: SetEnvironment) -> None:
    """A proxy that we would refuse does not matter."""
    environment({"all_proxy": "socks5://p:1"})
    assert sent_by(APIClient, {}).method == "GET"
    here = sent_by(APIClient, {"auth_token": "t"}, base_url="http://127.0.0.1")
    assert authorization(here) == "Bearer t"


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({"HTTPS_PROXY": "ftp://p"}, "the proxy in HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://p", "https_proxy": "ftp://p"}, "the proxy in https_proxy"),
        ({"Https_Proxy": "ftp://p"}, "the proxy in Https_Proxy"),
        ({"ALL_PROXY": "socks4://p"}, "the proxy in ALL_PROXY"),
        ({"HTTP_PROXY": "http://p", "all_proxy": "p:port"}, "the proxy in all_proxy"),
    ],
)
def test_the_error_of_a_proxy_names_its_variable(
    environment: SetEnvironment, variables: dict[str, str], source: str
) -> None:
    """The variable that takes precedence."""
    environment(variables)
    assert refused(APIClient, {}).startswith(f"{source} cannot be used for {DEFAULT_URL}: ")


def test_the_error_of_a_system_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no variable names a proxy, macOS and Windows may, and the error says so."""
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "ftp://p"})
    assert refused(APIClient, {}).startswith("the proxy of the system cannot be used for ")


@pytest.mark.parametrize("scheme", ["HTTP", "Https", "http"])
def test_a_proxy_s_scheme_is_case_insensitive(environment: SetEnvironment, scheme: str) -> None:
    """A scheme in capitals is accepted."""
    environment({"https_proxy": f"{scheme}://P.example.com:1"})
    assert proxy_for(DEFAULT_URL) == f"{scheme.lower()}://p.example.com:1"


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTP_PROXY": "http://evil:1"}, None),
        ({"HTTP_PROXY": "http://evil:1", "http_proxy": "http://p:1"}, "http://p:1"),
        ({"HTTP_PROXY": "http://evil:1", "all_proxy": "http://p:2"}, "http://p:2"),
        ({"Http_Proxy": "http://evil:1"}, None),
    ],
)
def test_http_proxy_is_ignored_under_cgi(
    environment: SetEnvironment, variables: dict[str, str], proxy: str | None
) -> None:
    """There it is the request header Proxy; the lower-case variable counts."""
    environment({"REQUEST_METHOD": "GET", **variables})
    assert proxy_for("http://h.example.com") == proxy


# -- hosts without a proxy ------------------------------------------------------------------------

# Each spelling of this machine, with entries of NO_PROXY that exclude it.
EXCLUDED: dict[str, list[str]] = {
    "127.0.0.1": [
        "127.0.0.1",
        "127.0.0.0/8",
        "127.0.0.1/32",
        "localhost,127.0.0.1,::1",
        " 127.0.0.1 ",
        "\t127.0.0.1\t, x",
        "127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:{port}",
        "all://127.0.0.1",
        "127.1",
        "2130706433",
        "127.*",
        "127.0.0.0/255.0.0.0",
        "0.0.0.0/0",
        "127.0.0.1/99",
        "x 127.0.0.1",
        "127. 0.0.1",
        "a,*",
        "http://",
        ":{port}",
    ],
    "127.1": ["127.0.0.1", "127.1", "127.0.0.0/8", "127.1:{port}", "127.0.0.1:{port}"],
    "2130706433": ["127.0.0.1", "127.0.0.0/8", "2130706433", "127.1"],
    "localhost": ["localhost", "LocalHost", ".localhost", "localhost.", "localhost:{port}", "*"],
    "LOCALHOST": ["localhost", "LOCALHOST:{port}", "http://localhost"],
    "[::1]": [
        "::1",
        "[::1]",
        "[::1]:{port}",
        "::1:{port}",
        "0:0:0:0:0:0:0:1",
        "[0:0::0:1]",
        "localhost,127.0.0.1,::1",
        "::1/128",
        "::/0",
        "[::]/64",
        "http://[::1]:{port}",
    ],
    "[0:0:0:0:0:0:0:1]": ["::1", "[::1]:{port}", "::/64"],
    "[::ffff:127.0.0.1]": ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:7f00:1"],
}


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize(
    ("host", "entries"),
    [(host, entries) for host, several in EXCLUDED.items() for entries in several],
)
def test_an_excluded_host_bypasses_the_proxy(
    environment: SetEnvironment, host: str, entries: str, name: str
) -> None:
    """The token goes to the host only, for each form of NO_PROXY."""
    with Server(any_repository) as api, Server(any_repository) as proxy:
        environment({"http_proxy": proxy.url, name: entries.format(port=api.port)})
        with Client(
            "1", {"auth_token": SECRET}, base_url=f"http://{host}:{api.port}", max_retry_count=0
        ) as client:
            try:
                client.repositories.get("7")
            except Error:  # the IPv6 address refuses connections
                assert ":" in host or not api.requests
        assert (len(proxy.connections), proxy.requests) == (0, [])


# Entries that exclude no host in requests or httpx: the proxy is used.
NAMED = "https://h.example.com:8443"
NOT_EXCLUDED: dict[str, list[str]] = {
    "http://127.0.0.1:8080": ["127.0.0.2", "127.0.0.1:9", "10.0.0.0/8", "::1", "x", "", ",", " "],
    "http://[::1]:8080": ["::2", "[::1]:9", "fe80::/10", "127.0.0.1", "::/129", "::2/x"],
    "http://localhost:8080": ["localhost:9", "local", "host", "xlocalhost", "https://localhost"],
    NAMED: ["ample.com", "example.com:443", "example.org", "*.example.org", "*.org", "h"],
}


@pytest.mark.parametrize(
    ("url", "entry"), [(url, entry) for url, several in NOT_EXCLUDED.items() for entry in several]
)
def test_other_hosts_use_the_proxy(environment: SetEnvironment, url: str, entry: str) -> None:
    """An entry for another host, port, network or scheme excludes nothing."""
    environment({"all_proxy": "http://p:1", "no_proxy": entry})
    assert proxy_for(url) == "http://p:1"


@pytest.mark.parametrize(
    "entry",
    [
        "example.com",
        ".example.com",
        "..example.com",
        "EXAMPLE.com",
        "example.com.",
        "*.example.com",
        "*example.com",
        "h.*.com",
        "example.com:8443",
        "https://h.example.com",
        "https://h.example.com:443",
        "all://*.example.com:8443",
        "https://*",
        "example.com/path",
        "u@h.example.com",
    ],
)
def test_a_domain_is_excluded(environment: SetEnvironment, entry: str) -> None:
    """With or without dots, wildcards, a port or a scheme, it excludes its hosts."""
    environment({"all_proxy": "http://p:1", "no_proxy": f"x, {entry}"})
    assert proxy_for(NAMED) is None
    assert proxy_for("https://H.EXAMPLE.COM.:8443") is None


@pytest.mark.parametrize(
    "host", ["bücher.example.com", "xn--bcher-kva.example.com", "BÜCHER.example.com"]
)
@pytest.mark.parametrize(
    "entry",
    [
        "bücher.example.com",
        ".BÜCHER.example.com",
        "xn--bcher-kva.example.com",
        "https://bücher.example.com",
    ],
)
def test_an_international_domain_is_excluded(
    environment: SetEnvironment, host: str, entry: str
) -> None:
    """Host and entry may be in Unicode or in IDNA."""
    environment({"all_proxy": "http://p:1", "no_proxy": entry})
    assert proxy_for(f"https://{host}") is None


def test_an_invalid_entry_excludes_nothing(environment: SetEnvironment) -> None:
    """It raises no error."""
    environment({"all_proxy": "http://p:1", "no_proxy": "①.com,[::1,a b,:::"})
    assert proxy_for(NAMED) == "http://p:1"


@pytest.mark.parametrize(
    "entry", ["fe80::1", "[FE80::1]", "fe80::1%eth0", "fe80::/10", "fe80::1%1"]
)
def test_a_zone_is_not_part_of_an_address(environment: SetEnvironment, entry: str) -> None:
    """A link-local address is excluded in any zone."""
    environment({"all_proxy": "http://p:1", "no_proxy": entry})
    assert proxy_for("http://[fe80::1%eth0]:8080") is None


@pytest.mark.parametrize(
    ("variables", "bypassed"),
    [
        ({"no_proxy": "example.com", "NO_PROXY": "x"}, True),
        ({"no_proxy": "x", "NO_PROXY": "example.com"}, False),
        ({"no_proxy": "", "NO_PROXY": "example.com"}, True),
        ({"No_Proxy": "example.com"}, True),
        ({"NO_PROXY": ""}, False),
    ],
)
def test_no_proxy_takes_precedence_in_lower_case(
    environment: SetEnvironment, variables: dict[str, str], bypassed: bool
) -> None:
    """Unless it is empty."""
    environment({"all_proxy": "http://p:1", **variables})
    assert (proxy_for(NAMED) is None) is bypassed


@pytest.mark.parametrize("problem", [socket.gaierror("no such name"), TypeError(), UnicodeError()])
def test_an_unknown_host_on_macos_and_windows(
    monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """They look the host up for their exceptions; a failure excludes nothing."""

    def bypass(host: str) -> bool:
        raise problem

    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "http://p:1"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", bypass)
    assert proxy_for(NAMED) == "http://p:1"


def test_the_system_s_exceptions_match_hosts_without_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns of macOS are for hosts, such as *.local."""
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"http": "http://p:1"})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: host == "nas.local")
    assert proxy_for("http://nas.local:8080") is None
    assert proxy_for("http://nas.lan:8080") == "http://p:1"


def _requests_bypasses(url: str) -> bool:
    """Return what `requests.utils.should_bypass_proxies` 2.34 returns."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    entries = [entry for entry in no_proxy.replace(" ", "").split(",") if entry]
    try:
        address = socket.inet_aton(host)
    except OSError:
        with_port = f"{host}:{parts.port}" if parts.port else host
        for entry in entries:
            bare = entry.lstrip(".")
            if bare in (host, with_port):
                return True
            if host.endswith(f".{bare}") or with_port.endswith(f".{bare}"):
                return True
    else:
        for entry in entries:
            base, slash, mask = entry.partition("/")
            try:
                valid = slash and 1 <= int(mask) <= 32 and socket.inet_aton(base)
            except (OSError, ValueError):
                valid = b""
            if valid:
                bits = 32 - int(mask)
                if int.from_bytes(address) >> bits == int.from_bytes(valid) >> bits:
                    return True
            elif host == entry:
                return True
    return bool(urllib.request.proxy_bypass(host))


class _Bypassed(Exception):
    """The request is sent without a proxy."""


class _Proxied(Exception):
    """The request is sent through a proxy."""


def _to_nobody(pool: httpcore.ConnectionPool, request: object) -> httpcore.Response:
    raise _Proxied if isinstance(pool, httpcore.HTTPProxy) else _Bypassed


_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _httpx_bypasses(url: str) -> bool:
    try:
        with httpx.Client(verify=_CONTEXT) as client:
            client.get(url)
    except _Bypassed:
        return True
    except (_Proxied, httpx.InvalidURL, ValueError):  # some entries it cannot take at all
        return False
    raise AssertionError(url)


LABELS = st.sampled_from(["example", "com", "h", "xn--bcher-kva", "bücher", "1", "10", "127"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
OCTETS = st.sampled_from(["0", "1", "10", "127", "255"])
V4 = st.lists(OCTETS, min_size=1, max_size=4).map(".".join)
V6 = st.sampled_from(
    ["::1", "::", "fe80::1", "FE80:0::1", "2001:db8::5", "0:0:0:0:0:0:0:1", "::ffff:10.1.0.1"]
)
PORTS = st.sampled_from(["", ":80", ":443", ":8080", ":"])
HOSTS = NAMES | NAMES.map("{}.".format) | V4 | V6.map("[{}]".format)
URLS = st.builds("{}://{}{}".format, st.sampled_from(["http", "https"]), HOSTS, PORTS)
ENTRIES = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "", "", "http://", "https://", "all://", "u@"]),
    st.sampled_from(["", "", ".", "*.", "*", " ", ".."]),
    NAMES | V4 | V6 | V6.map("[{}]".format),
    PORTS,
    st.sampled_from(["", "", ".", "/8", "/16", "/32", "/99", "/08", "/x", "/255.0.0.0", "?x", " "]),
)
LISTS = st.lists(ENTRIES, max_size=3).map(",".join) | st.text("ahl.:*/[]1 %,@?#-", max_size=9)


@given(entries=LISTS, url=URLS, variable=st.sampled_from(["https_proxy", "all_proxy"]))
@example("localhost,127.0.0.1,::1", "http://[::1]:8080", "all_proxy")
@example("::1:8080", "http://[::1]:8080", "all_proxy")
@example(".:", "https://example.", "https_proxy")
@example("https://", "https://example", "https_proxy")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_proxy_is_bypassed_if_requests_or_httpx_bypasses_it(
    entries: str, url: str, variable: str
) -> None:
    """For any NO_PROXY."""
    try:
        normal = str(httpx.URL(url))
    except httpx.InvalidURL:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, "http://p:1")
        patch.setenv("http_proxy", "http://p:1")
        patch.setenv("no_proxy", entries)
        patch.setattr(httpcore.ConnectionPool, "handle_request", _to_nobody)
        bypassed = _requests_bypasses(url) or _requests_bypasses(normal) or _httpx_bypasses(normal)
        assert proxy_for(normal) is None or not bypassed


# -- a proxy's own credential ---------------------------------------------------------------------


@pytest.mark.parametrize("password", [SECRET, "s3cr3t%3At0k%2Fen"], ids=["plain", "quoted"])
@pytest.mark.parametrize("status", [407, 502, 200])
@pytest.mark.anyio
@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
async def test_no_error_shows_a_proxy_s_credential(
    environment: SetEnvironment, kind: type[Any], status: int, password: str
) -> None:
    """A proxy may quote its credential: no error and no attempt shows it."""

    def quoting(request: Request) -> bytes:
        header = request.headers["proxy-authorization"]
        return response([f"bad {header}", f"user:{password}", unquoted], status, f"X-Was: {header}")

    unquoted = urllib.parse.unquote(password)
    with Server(quoting) as proxy:
        environment({"http_proxy": proxy.url.replace("://", f"://user:{password}@")})
        client = kind({}, base_url="http://h.example.com", max_retry_count=1)
        with pytest.raises(Error) as caught:
            await done(client.get_repository("1", "2"))
        await done(client.aclose() if kind is AsyncAPIClient else client.close())
        sent = proxy.requests[0].headers["proxy-authorization"].removeprefix("Basic ")
    shown = "".join(traceback.format_exception(caught.value)) + f"{vars(caught.value)}"
    assert not [secret for secret in (password, unquoted, sent) if secret in shown]


# -- certificates ---------------------------------------------------------------------------------

CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.mark.parametrize("first", range(4), ids=CA_VARIABLES)
def test_the_order_of_ca_variables(environment: SetEnvironment, tmp_path: Path, first: int) -> None:
    """Those of requests before those of OpenSSL; an empty one is ignored."""
    for number, name in enumerate(CA_VARIABLES):
        environment({name: str(tmp_path / name) if number >= first else ""})
    name = CA_VARIABLES[first]
    bundle = str(tmp_path / name)
    assert refused(APIClient, {}, base_url="https://127.0.0.1:1").startswith(
        f"the CA bundle in {name}, {bundle!r}, cannot be loaded: "
    )


def test_missing_folders_of_ssl_cert_dir_are_skipped(
    environment: SetEnvironment, tmp_path: Path
) -> None:
    """The existing folders of the list are used."""
    (tmp_path / "b").mkdir()
    for members in (["a", "b"], ["b", "a"], ["", "b"], ["b", ""], ["b", "b"], ["b"]):
        folders = os.pathsep.join(str(tmp_path / each) if each else "" for each in members)
        environment({"SSL_CERT_DIR": folders})
        APIClient({}, base_url="https://127.0.0.1:1").close()


@pytest.mark.parametrize("folders", ["{0}", "{1}:{0}", "{0}:{1}", ":{0}:", "{2}:{0}"])
def test_certificates_of_ssl_cert_dir_are_trusted(
    environment: SetEnvironment, tmp_path: Path, folders: str
) -> None:
    """At any position of the list, next to empty or missing folders."""
    certs, empty = tmp_path / "certs", tmp_path / "empty"
    certs.mkdir()
    empty.mkdir()
    (certs / CA_HASH).write_bytes((TLS / "ca.pem").read_bytes())
    value = folders.format(certs, tmp_path / "missing", empty).replace(":", os.pathsep)
    environment({"SSL_CERT_DIR": value})
    context = create_ssl_context()
    assert _handshake(context)


@pytest.mark.parametrize(
    "value", ["{0}/a{1}{0}/b", "{1}", "{0}/a", "{1}{0}/a{1}"], ids=["two", "none", "one", "gaps"]
)
def test_ssl_cert_dir_without_an_existing_folder(
    environment: SetEnvironment, tmp_path: Path, value: str
) -> None:
    """It would trust nothing, so it is refused with its value."""
    folders = value.format(tmp_path, os.pathsep)
    environment({"SSL_CERT_DIR": folders})
    assert refused(APIClient, {}).startswith(
        f"the CA bundle in SSL_CERT_DIR, {folders!r}, cannot be loaded: "
    )


@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_ca_bundle_is_a_file_or_a_folder(
    environment: SetEnvironment, tmp_path: Path, variable: str, kind: str
) -> None:
    """For each variable; only the first of the four is read."""
    (tmp_path / CA_HASH).write_bytes((TLS / "ca.pem").read_bytes())
    environment({variable: str(TLS / "ca.pem" if kind == "file" else tmp_path)})
    assert _handshake(create_ssl_context())


def _handshake(client: ssl.SSLContext) -> bool:
    """Do a TLS handshake in memory with a server of the test's certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(TLS / "server.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return here.version() is not None and bool(here.getpeercert())


@pytest.mark.parametrize("which", [".", "missing/keys"], ids=["a folder", "a missing folder"])
@pytest.mark.parametrize("bundle", [True, False], ids=["a bundle", "the usual bundle"])
@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
def test_the_error_of_a_bad_key_log(
    environment: SetEnvironment,
    tmp_path: Path,
    kind: Callable[..., object],
    bundle: bool,
    which: str,
) -> None:
    """The constructor's error names SSLKEYLOGFILE."""
    path = str(tmp_path / which)
    environment({"SSLKEYLOGFILE": path})
    environment({"SSL_CERT_FILE": str(TLS / "ca.pem")} if bundle else {})
    assert refused(kind, {}).startswith(f"the file in SSLKEYLOGFILE, {path!r}, cannot be written: ")


def test_plain_http_ignores_a_bad_key_log(environment: SetEnvironment, tmp_path: Path) -> None:
    """Without TLS, no file of TLS is opened."""
    environment({"SSLKEYLOGFILE": str(tmp_path), "SSL_CERT_FILE": str(tmp_path / "missing")})
    APIClient({}, base_url="http://127.0.0.1:1").close()


def test_tls_keys_are_logged(environment: SetEnvironment, tmp_path: Path) -> None:
    """A file in SSLKEYLOGFILE gets the keys, as with any TLS context of Python."""
    environment({"SSLKEYLOGFILE": str(tmp_path / "keys"), "SSL_CERT_FILE": str(TLS / "ca.pem")})
    assert _handshake(create_ssl_context())
    assert "TRAFFIC_SECRET" in (tmp_path / "keys").read_text()


@pytest.mark.parametrize(
    "limit",
    [
        TimeoutError("the job took too long"),
        TimeoutError(errno.ETIMEDOUT, "the job took too long"),
        OSError("the job took too long"),
    ],
    ids=["TimeoutError", "with an errno", "OSError"],
)
@pytest.mark.parametrize("kind", [APIClient, AsyncAPIClient])
def test_a_signal_handler_s_exception_while_loading_certificates(
    environment: SetEnvironment, monkeypatch: pytest.MonkeyPatch, kind: Any, limit: OSError
) -> None:
    """It is raised unchanged."""

    def interrupted(**_: object) -> None:
        raise limit

    environment({"SSL_CERT_FILE": "ca.pem"})
    monkeypatch.setattr(ssl, "create_default_context", interrupted)
    with pytest.raises(OSError, match="took too long") as caught:
        kind({}, base_url="https://api.example.com")
    assert caught.value is limit


def test_the_default_ca_bundle() -> None:
    """It is trusted if the environment names none."""
    [trusted] = create_ssl_context().get_ca_certs(binary_form=True)
    assert ssl.DER_cert_to_PEM_cert(trusted) in Path(certifi.where()).read_text().replace("\r", "")
