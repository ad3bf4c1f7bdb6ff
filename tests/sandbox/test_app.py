"""The API's wire: shapes, pages and errors."""

import json
import re
from typing import Any

import httpx
import pytest
from tests.support.examples import example
from tests.support.internals import sandbox_serializers

from abeja_registry.sandbox import Sandbox

JSON = {"Content-Type": "application/json"}


def outline(value: Any) -> Any:
    """A response without its values: keys in order, types, the forms of times and ids."""
    match value:
        case dict():
            return [(key, outline(item)) for key, item in value.items()]
        case list():
            return [outline(item) for item in value]
        case str() if re.fullmatch(r"[0-9TZ:.-]+", value):
            return re.sub("[0-9]", "0", value)
        case _:
            return type(value)


def create(http: httpx.Client, name: str = "sample_repository") -> str:
    """Create a repository and return its id."""
    repository_id: str = http.post("/repositories", json={"name": name}).json()["id"]
    return repository_id


def tag_url(sandbox: Sandbox, repository_id: str, name: str) -> str:
    """The address of the sandbox's own call for a tag."""
    return f"{sandbox.url}/_sandbox/repositories/{repository_id}/tags/{name}"


def test_create_answers_as_the_reference_shows(sandbox: Sandbox, http: httpx.Client) -> None:
    """A create answers the new repository in the reference's shape."""
    body = {"name": "sample_repository", "description": "this is sample repository"}
    answer = http.post("/repositories", json=body)
    assert answer.status_code == 200
    assert outline(answer.json()) == outline(example("create_repository"))
    assert answer.json().items() >= body.items()


@pytest.mark.parametrize(
    ("operation", "method"), [("get_repository", "GET"), ("delete_repository", "DELETE")]
)
def test_one_repository_is_answered_as_the_reference_shows(
    sandbox: Sandbox, http: httpx.Client, operation: str, method: str
) -> None:
    """A get and a delete answer the repository in the reference's shape."""
    answer = http.request(method, f"/repositories/{create(http)}")
    assert answer.status_code == 200
    assert outline(answer.json()) == outline(example(operation))


def test_repositories_are_answered_as_the_reference_shows(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    """A list of repositories has the reference's envelope and rows without tags."""
    create(http)
    assert outline(http.get("/repositories").json()) == outline(example("get_repositories"))


def test_tags_are_answered_as_the_reference_shows(sandbox: Sandbox, http: httpx.Client) -> None:
    """A list of tags has the reference's envelope and rows, the tags' times with microseconds."""
    repository_id = create(http)
    sandbox.push(repository_id, "0.0.4")
    answer = http.get(f"/repositories/{repository_id}/tags")
    expected = example("get_repository_tags")
    for time in ("created_at", "updated_at"):
        expected["tags"][0][time] = expected["tags"][0][time].replace("Z", ".000000Z")
    assert outline(answer.json()) == outline(expected)
    assert answer.json()["registry_repository_id"] == repository_id


def test_a_description_that_was_not_given_is_null(sandbox: Sandbox, http: httpx.Client) -> None:
    """A repository created by its name alone has a null description."""
    assert http.post("/repositories", json={"name": "plain"}).json()["description"] is None


def test_one_repository_holds_its_first_tags(sandbox: Sandbox, http: httpx.Client) -> None:
    """A get and a delete embed the first ten tags, in the shape a list gives them."""
    [repository_id] = sandbox.seed(repositories=1, tags=11)
    listed = http.get(f"/repositories/{repository_id}/tags").json()["tags"]
    assert len(listed) == 10
    assert http.get(f"/repositories/{repository_id}").json()["tags"] == listed
    assert http.delete(f"/repositories/{repository_id}").json()["tags"] == listed


def test_delete_removes_the_repository_and_its_tags(sandbox: Sandbox, http: httpx.Client) -> None:
    """A deleted repository is gone from everywhere, and its name is free for a new one."""
    repository_id = create(http)
    sandbox.push(repository_id, "1.0.0")
    http.delete(f"/repositories/{repository_id}")
    for gone in ("", "/tags"):
        assert http.get(f"/repositories/{repository_id}{gone}").status_code == 404
    assert http.delete(f"/repositories/{repository_id}").status_code == 404
    again = create(http)
    assert int(again) > int(repository_id)
    assert http.get(f"/repositories/{again}").json()["tags"] == []


@pytest.mark.parametrize(
    ("query", "names", "limit", "offset", "has_next"),
    [
        ("", range(1, 11), 10, 0, True),
        ("limit=3", range(1, 4), 3, 0, True),
        ("limit=3&offset=21", range(22, 25), 3, 21, True),
        ("limit=3&offset=22", range(23, 26), 3, 22, False),
        ("limit=3&offset=24", range(25, 26), 3, 24, False),
        ("limit=3&offset=25", (), 3, 25, False),
        ("limit=3&offset=9223372036854775807", (), 3, 9223372036854775807, False),
        ("limit=20", range(1, 21), 20, 0, True),
        ("limit=21", range(1, 21), 20, 0, True),
        ("limit=1000&offset=5", range(6, 26), 20, 5, False),
    ],
)
def test_pages(
    sandbox: Sandbox,
    http: httpx.Client,
    query: str,
    names: range,
    limit: int,
    offset: int,
    has_next: bool,
) -> None:
    """A page holds its window, oldest first, and tells the limit in force and if there is more."""
    [repository_id] = sandbox.seed(repositories=1, tags=25)
    page = http.get(f"/repositories/{repository_id}/tags?{query}").json()
    assert [tag["name"] for tag in page["tags"]] == [f"0.0.{number}" for number in names]
    assert (page["limit"], page["offset"], page["has_next"]) == (limit, offset, has_next)


def test_pages_of_repositories(sandbox: Sandbox, http: httpx.Client) -> None:
    """Repositories come in pages as tags do, clamped alike."""
    ids = sandbox.seed(repositories=21, tags=0)
    first = http.get("/repositories?limit=100").json()
    rest = http.get("/repositories?limit=100&offset=20").json()
    listed = first["registry_repositories"] + rest["registry_repositories"]
    assert [row["id"] for row in listed] == ids
    assert (first["limit"], first["has_next"], rest["has_next"]) == (20, True, False)


@pytest.mark.parametrize("path", ["/repositories", "/repositories/{repository_id}/tags"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "ten"),
        ("limit", ""),
        ("limit", "5.0"),
        ("limit", "9" * 5000),
        ("offset", "-1"),
        ("offset", "1e2"),
        ("offset", str(2**63)),
    ],
)
def test_a_bad_window_is_refused(
    sandbox: Sandbox, http: httpx.Client, path: str, field: str, value: str
) -> None:
    """A limit below 1, an offset below 0, and what is no integer are a 400 naming the field."""
    url = path.format(repository_id=create(http))
    answer = http.get(url, params={field: value})
    assert_error(answer, 400, "bad_request")
    assert answer.json()["error_description"].startswith(field)
    assert "Value error" not in answer.json()["error_description"]
    assert answer.json()["error_detail"] == {"field": field}


@pytest.mark.parametrize(
    "name", ["a", "0", "sample_repository", "a.b", "a__b", "a---b", "a-b.c_d", "a" * 255]
)
def test_a_good_name_is_taken(sandbox: Sandbox, http: httpx.Client, name: str) -> None:
    """A name that is a path component by Docker's rules makes a repository."""
    assert http.post("/repositories", json={"name": name}).json()["name"] == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a/b", "-a", "a-", "a..b", "a___b", "a._b", "é", "a\n", "a b", "\ud800", "a" * 256],
)
def test_a_bad_name_is_refused(sandbox: Sandbox, http: httpx.Client, name: str) -> None:
    """A name that breaks Docker's rules is a 400 naming the field."""
    body = json.dumps({"name": name})  # httpx itself refuses a lone surrogate
    answer = http.post("/repositories", content=body, headers=JSON)
    assert_error(answer, 400, "bad_request")
    assert answer.json()["error_detail"] == {"field": "name"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{}", "name"),
        ('{"name": null}', "name"),
        ('{"name": 3}', "name"),
        ('{"name": "a", "description": 3}', "description"),
        ('{"name": "a", "description": "\\ud800"}', "description"),
        ("[]", "body"),
        ("{", "body"),
        ("", "body"),
    ],
)
def test_a_bad_body_is_refused(sandbox: Sandbox, http: httpx.Client, body: str, field: str) -> None:
    """A body of another form is a 400 naming what is wrong, and makes no repository."""
    answer = http.post("/repositories", content=body, headers=JSON)
    assert_error(answer, 400, "bad_request")
    assert answer.json()["error_detail"] == {"field": field}
    assert http.get("/repositories").json()["registry_repositories"] == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_json_that_is_not_called_so(sandbox: Sandbox, http: httpx.Client, kind: str | None) -> None:
    """It is a 400 that names the header which is missing, in the API and beside it."""
    headers = {} if kind is None else {"Content-Type": kind}
    for url in ("/repositories", f"{sandbox.url}/_sandbox/faults"):
        answer = http.post(url, content='{"name": "a"}', headers=headers)
        assert_error(answer, 400, "bad_request")
        assert "Content-Type: application/json" in answer.json()["error_description"]


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"name": ' + b"1" * 5000 + b"}"])
def test_a_body_that_no_parser_takes_is_refused(
    sandbox: Sandbox, http: httpx.Client, body: bytes
) -> None:
    """A body that breaks the JSON parser in other ways than by its syntax is a 400 too."""
    answer = http.post("/repositories", content=body, headers=JSON)
    assert_error(answer, 400, "bad_request")


@pytest.mark.parametrize(
    "value",
    ["Bearer x", "bearer x", "Basic dXNlcjpwYXNz", "Basic dXNlcg==", "Basic !!!", "Basic //4="],
    ids=["token", "lower case", "user", "no colon", "no base64", "no text"],
)
def test_any_credential_is_accepted(sandbox: Sandbox, http: httpx.Client, value: str) -> None:
    """Every bearer token and every basic credential is accepted."""
    assert http.get("/repositories", headers={"Authorization": value}).status_code == 200


@pytest.mark.parametrize("value", [None, "", "Bearer", "Basic", "Digest x", "x"])
def test_no_credential_is_refused(sandbox: Sandbox, http: httpx.Client, value: str | None) -> None:
    """Without a credential, with an empty one or another scheme it is a 401."""
    headers = {} if value is None else {"Authorization": value}
    assert_error(httpx.get(f"{http.base_url}repositories", headers=headers), 401, "unauthorized")


def test_who_asks_comes_before_what(sandbox: Sandbox, http: httpx.Client) -> None:
    """A body or a window that is wrong is a 401 or a 403 to whom it is none of their business."""
    url = f"{sandbox.url}/organizations/{{}}/registry/repositories"
    for organization_id, headers, status in (
        (sandbox.organization_id, {}, 401),
        ("7", {"Authorization": "Bearer x"}, 403),
    ):
        its = url.format(organization_id)
        for body in ("{", "[]", '{"name": 3}'):
            answer = httpx.post(its, content=body, headers={**JSON, **headers})
            assert answer.status_code == status
        assert httpx.get(f"{its}?limit=0", headers=headers).status_code == status


def test_another_organization_is_refused(sandbox: Sandbox, http: httpx.Client) -> None:
    """Another organization's repositories are a 403, whatever is asked of them."""
    path = "/organizations/1510000000000/registry/repositories"
    for each in (path, f"{path}/1", f"{path}/1/tags"):
        answer = httpx.get(sandbox.url + each, headers=http.headers)
        assert_error(answer, 403, "forbidden")


def test_a_repository_that_is_not_there(sandbox: Sandbox, http: httpx.Client) -> None:
    """An id that is nobody's is a 404, be it no number, or another spelling of somebody's."""
    real = create(http)
    for repository_id in ("1", "x", f"0{real}", f"{real}.0", "9" * 400):
        for answer in (
            http.get(f"/repositories/{repository_id}"),
            http.delete(f"/repositories/{repository_id}"),
            http.get(f"/repositories/{repository_id}/tags"),
            http.put(tag_url(sandbox, repository_id, "1.0.0")),
        ):
            assert_error(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/docs", "/redoc"])
def test_an_unknown_path(sandbox: Sandbox, path: str) -> None:
    """A path that is none of the API's is a 404 as JSON."""
    assert_error(httpx.get(sandbox.url + path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/repositories", "GET, POST"),
        ("PUT", "/repositories/1", "DELETE, GET"),
        ("POST", "/repositories/1/tags", "GET"),
    ],
)
def test_a_wrong_method(
    sandbox: Sandbox, http: httpx.Client, method: str, path: str, allow: str
) -> None:
    """A method that a path does not have is a 405 that says all those it has."""
    answer = http.request(method, path)
    assert_error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allow


def test_a_name_that_is_taken(sandbox: Sandbox, http: httpx.Client) -> None:
    """A second repository of the same name is a 409."""
    create(http, "twice")
    assert_error(http.post("/repositories", json={"name": "twice"}), 409, "conflict")


def test_a_failure_of_the_sandbox(
    sandbox: Sandbox, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong inside is a 500 as JSON."""
    monkeypatch.setattr(sandbox_serializers, "repository_page", None)
    assert_error(http.get("/repositories"), 500, "internal_server_error")


def test_every_answer_has_a_request_id_of_its_own(sandbox: Sandbox, http: httpx.Client) -> None:
    """Successes and errors carry a request id, never the same twice."""
    ids = [
        http.get(path).headers["X-Request-Id"] for path in ("/repositories", "/repositories/1") * 2
    ]
    assert len(set(ids)) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_a_tag_is_written_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    """The sandbox's own call writes a tag as given, without a credential, and answers its row."""
    repository_id = create(http)
    given = {"size": 7, "digest": "sha256:abc", "media_type": "application/x"}
    answer = httpx.put(tag_url(sandbox, repository_id, "1.0.0"), json=given)
    assert answer.status_code == 200
    assert answer.json().items() >= {"name": "1.0.0", **given}.items()
    assert http.get(f"/repositories/{repository_id}/tags").json()["tags"] == [answer.json()]


def test_a_tag_written_without_a_body_has_defaults(sandbox: Sandbox, http: httpx.Client) -> None:
    """What is not given of a tag follows from repository and name, the same each time."""
    repository_id = create(http)
    first = httpx.put(tag_url(sandbox, repository_id, "1.0.0")).json()
    again = httpx.put(tag_url(sandbox, repository_id, "1.0.0"), json={}).json()
    other = httpx.put(tag_url(sandbox, repository_id, "1.0.1")).json()
    assert re.fullmatch("sha256:[0-9a-f]{64}", first["digest"])
    assert (first["digest"], first["size"]) == (again["digest"], again["size"])
    assert first["digest"] != other["digest"]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        (".0", {}, "name"),
        ("a" * 129, {}, "name"),
        ("1.0", {"size": -1}, "size"),
        ("1.0", {"size": "1"}, "size"),
        ("1.0", {"size": 2**63}, "size"),
        ("1.0", {"digest": "abc"}, "digest"),
        ("1.0", {"media_type": ""}, "media_type"),
    ],
)
def test_a_bad_tag_is_refused(
    sandbox: Sandbox, http: httpx.Client, name: str, body: dict[str, Any], field: str
) -> None:
    """A tag that breaks a rule is a 400 naming the field, and is not written."""
    repository_id = create(http)
    answer = httpx.put(tag_url(sandbox, repository_id, name), json=body)
    assert_error(answer, 400, "bad_request")
    assert answer.json()["error_detail"] == {"field": field}
    assert http.get(f"/repositories/{repository_id}/tags").json()["tags"] == []


def assert_error(answer: httpx.Response, status: int, error: str) -> None:
    """Check that a response is an error in the API's form."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
    body = answer.json()
    assert list(body) == ["error", "error_description", "error_detail"]
    assert body["error"] == error
    assert body["error_description"]
