"""The pages for a browser, without one: contents, headers and who may read them."""

import base64
import hashlib
import re
import shutil
import subprocess
from html import unescape

import httpx
import pytest

from abeja_registry import openapi
from abeja_registry.sandbox import Sandbox

PAGES = ["/", "/reference", "/openapi.json"]


def get(sandbox: Sandbox, path: str, **headers: str) -> httpx.Response:
    """Get a page, as a browser does for an address that a user types."""
    return httpx.get(sandbox.url + path, headers=headers, trust_env=False)


def exports(sandbox: Sandbox) -> dict[str, str]:
    """Return the lines for each shell on the landing page."""
    blocks = re.findall(r"<h3>(.*?)</h3><pre[^>]*>(.*?)</pre>", get(sandbox, "/").text, re.DOTALL)
    return {shell: unescape(lines) for shell, lines in blocks}


def test_the_landing_page_names_its_organization(sandbox: Sandbox) -> None:
    """It is HTML that names the organization and links to the reference in both forms."""
    response = get(sandbox, "/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"<code>{sandbox.organization_id}</code>" in response.text
    for path in PAGES[1:]:
        assert f'href="{path}"' in response.text


def test_the_lines_of_each_shell(sandbox: Sandbox) -> None:
    """They set the variables of a client, in the syntax of the shell."""
    variables = sandbox.environment
    assert exports(sandbox) == {
        "sh": "\n".join(f"export {name}={value}" for name, value in variables.items()),
        "fish": "\n".join(f"set -gx {name} '{value}'" for name, value in variables.items()),
        "PowerShell": "\n".join(f"$env:{name} = '{value}'" for name, value in variables.items()),
    }


def test_sh_takes_its_lines(sandbox: Sandbox) -> None:
    """A shell that runs them has the variables."""
    shell = shutil.which("sh")
    assert shell is not None
    program = exports(sandbox)["sh"] + '\nprintf %s "$ABEJA_API_URL $PLATFORM_AUTH_TOKEN"'
    run = subprocess.run([shell, "-c", program], capture_output=True, text=True)
    assert run.stdout == f"{sandbox.url} sandbox"


def test_the_address_is_the_one_that_the_browser_used() -> None:
    """The lines and the document name the host by which the client reaches the sandbox."""
    with Sandbox(allow_hosts=["registry.test"]) as sandbox:
        page = get(sandbox, "/", Host="registry.test:9000")
        assert "export ABEJA_API_URL=http://registry.test:9000\n" in page.text
        document = get(sandbox, "/openapi.json", Host="registry.test:9000").json()
        assert document["servers"] == [{"url": "http://registry.test:9000"}]


def test_no_secret_is_on_a_page() -> None:
    """Neither a credential nor the control token is on any page, as a page needs neither."""
    with Sandbox(host="0.0.0.0", credentials=[{"auth_token": "secret-token"}]) as sandbox:
        assert sandbox.control_token is not None
        for path in PAGES:
            response = get(sandbox, path)
            assert response.status_code == 200
            assert "secret-token" not in response.text
            assert sandbox.control_token not in response.text
        assert "PLATFORM_AUTH_TOKEN" not in exports(sandbox)["sh"]
        # A health check needs no token either; all other calls do.
        assert get(sandbox, "/_sandbox/health").status_code == 200
        assert get(sandbox, "/_sandbox/requests").status_code == 401


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_pages_are_guarded(sandbox: Sandbox, path: str, headers: dict[str, str]) -> None:
    """A page of another origin reads none of them, nor does one by DNS rebinding."""
    assert get(sandbox, path, **headers).status_code == 403


@pytest.mark.parametrize("path", PAGES[:2])
def test_the_policy_names_the_scripts_and_styles(sandbox: Sandbox, path: str) -> None:
    """Each inline script and style has its hash in the policy, which allows no other asset."""
    response = get(sandbox, path)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    inline = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", response.text, re.DOTALL)
    assert inline
    for text in inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert re.findall(r'(?:src|href)="(?!/|data:,)', response.text) == []


def test_pages_are_not_recorded(sandbox: Sandbox) -> None:
    """The record has the API's requests only, and faults affect no page."""
    sandbox.faults.add(status=500)
    assert [get(sandbox, path).status_code for path in PAGES] == [200, 200, 200]
    assert sandbox.requests == ()


def test_the_reference_has_each_operation_and_field(sandbox: Sandbox) -> None:
    """The readable page names each path, parameter, status and field of the document."""
    text = unescape(get(sandbox, "/reference").text)
    document = openapi.document()
    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in text
        for method in item.keys() - {"parameters"}:
            assert f'id="{item[method]["operationId"]}">{method.upper()} ' in text
            for status in item[method]["responses"]:
                assert f"<td>{status}</td>" in text
    for name, schema in document["components"]["schemas"].items():
        assert f"<h3>{name}</h3>" in text
        for field in schema.get("properties", {}):
            assert f"<td>{field}</td>" in text


def test_the_document_is_the_package_s(sandbox: Sandbox) -> None:
    """It differs from the printed document in its server only."""
    document = get(sandbox, "/openapi.json").json()
    assert document == {**openapi.document(), "servers": [{"url": sandbox.url}]}
