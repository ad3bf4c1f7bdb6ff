"""The API's reference as HTML, made of its OpenAPI document."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

METHODS = ("get", "post", "delete")


class Reference:
    """The operations and schemas of an OpenAPI document, as HTML.

    Args:
        document: The document; its references are all local.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def operations(self) -> str:
        """Return a section for each operation."""
        return "\n".join(
            self._operation(method.upper(), path, item, item[method])
            for path, item in self._document["paths"].items()
            for method in METHODS
            if method in item
        )

    def schemas(self) -> str:
        """Return a table of each schema's fields."""
        schemas: Mapping[str, Any] = self._document["components"]["schemas"]
        return "\n".join(_schema(name, schema) for name, schema in schemas.items())

    def _operation(self, method: str, path: str, item: Any, operation: Any) -> str:
        name = escape(operation["operationId"])
        parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
        return f"""<section aria-labelledby="{name}">
<h2 id="{name}">{method} <code>{escape(path)}</code></h2>
<p>{escape(operation["summary"])}. {escape(operation.get("description", ""))}</p>
<h3>Parameters</h3>
{_table(("Name", "In", "Description"), map(self._parameter, parameters))}
{"".join(self._body(operation))}<h3>Responses</h3>
{_table(("Status", "Description"), self._responses(operation))}
{"".join(self._example(operation))}</section>"""

    def _parameter(self, parameter: Any) -> tuple[str, str, str]:
        found = self._resolve(parameter)
        return found["name"], found["in"], _describe(found)

    def _responses(self, operation: Any) -> Iterator[tuple[str, str]]:
        for status, response in operation["responses"].items():
            yield status, _describe(self._resolve(response))

    @staticmethod
    def _body(operation: Any) -> Iterator[str]:
        if "requestBody" in operation:
            yield f"<h3>Body</h3>\n{_json(operation['requestBody'])}\n"

    @staticmethod
    def _example(operation: Any) -> Iterator[str]:
        yield f"<h3>Example</h3>\n{_json(operation['responses']['200'])}\n"

    def _resolve(self, value: Any) -> Any:
        if "$ref" not in value:
            return value
        found: Any = self._document
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return found


def _schema(name: str, schema: Any) -> str:
    rows = [
        (field, _type(rule), _describe(rule))
        for field, rule in schema.get("properties", {}).items()
    ]
    table = _table(("Field", "Type", "Description"), rows) if rows else ""
    return f"<h3>{escape(name)}</h3>\n<p>{escape(_describe(schema))}</p>\n{table}"


def _type(rule: Any) -> str:
    """Describe a field's type: `string or null`, `Tag[]`."""
    if "$ref" in rule:
        return str(rule["$ref"].rpartition("/")[2])
    if "items" in rule:
        return f"{_type(rule['items'])}[]"
    types = rule.get("type", "any")
    return types if isinstance(types, str) else " or ".join(types)


def _describe(value: Any) -> str:
    """Join a description with its assumptions."""
    assumptions = value.get("x-assumption", [])
    if isinstance(assumptions, str):
        assumptions = [assumptions]
    notes = [f"Assumption: {assumption}." for assumption in assumptions]
    return " ".join([value.get("description", ""), *notes]).strip()


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    table = f"<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table">{table}</div>'


def _json(message: Any) -> str:
    example = message["content"]["application/json"]["example"]
    return f'<pre tabindex="0">{escape(json.dumps(example, indent=2))}</pre>'
