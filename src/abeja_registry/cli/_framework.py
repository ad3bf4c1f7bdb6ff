"""The classes of commands: aliases, examples, options before and after the command, suggestions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import wraps
from importlib import import_module
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from .. import exceptions
from ._client import ClientOptions, client_options, stored_options
from ._completion import complete_profiles
from ._errors import in_options

P = ParamSpec("P")
R = TypeVar("R")

_ALIASES = {
    "ls": "list",
    "rm": "delete",
    "show": "get",
    "repo": "repositories",
    "repos": "repositories",
    "repository": "repositories",
    "tag": "tags",
}
# Words of other programs for a command of a group, and for commands of the program.
_SYNONYMS = {
    "add": "create",
    "describe": "get",
    "info": "get",
    "inspect": "get",
    "mk": "create",
    "new": "create",
    "newest": "latest",
    "remove": "delete",
    "view": "get",
}
_ELSEWHERE = {
    "auth": "config",
    "catalog": "repositories list",
    "check": "doctor",
    "compare": "diff",
    "configure": "config",
    "create-repository": "repositories create",
    "delete-repository": "repositories delete",
    "describe": "repositories get",
    "describe-images": "tags list",
    "describe-repositories": "repositories list",
    "describe-repository": "repositories get",
    "describe-repository-tags": "tags list",
    "digest": "image --pinned",
    "export": "inventory --write FILE",
    "images": "tags list",
    "info": "config",
    "inspect": "tags get",
    "list-images": "tags list",
    "login": "config",
    "manifest": "tags get",
    "purge": "repositories delete --from FILE",
    "registry": "repositories",
    "report": "summary --html PAGE",
    "search": "repositories list --include PATTERN",
    "serve": "sandbox",
    "settings": "config",
    "stats": "summary",
    "status": "whoami",
    "usage": "summary",
    "version": "--version",
}
_NO_COMMAND = {
    "pull": "images are pulled with `docker pull`",
    "push": "images are pushed with `docker push`; `abeja-registry tags wait` waits for one",
}
# The same for options; the first one that the command has.
_OTHER_OPTIONS = {
    "--after": "--since",
    "--before": "--until",
    "--debug": "--verbose",
    "--digest": "--pinned",
    "--file": "--write FILE,--from FILE",
    "--fields": "--columns",
    "--filter": "--pattern,--include",
    "--force": "--yes",
    "--format": "--output",
    "--json": "--output json",
    "--matching": "--pattern,--include",
    "--newer-than": "--since",
    "--no-trunc": "--output json",
    "--older-than": "--stale-days",
    "--output-file": "--write FILE,--html PAGE",
    "--stale-after-days": "--stale-days",
    "--order-by": "--sort",
    "--org": "--organization",
    "--query": "--columns",
    "--repository-id": "--id",
    "--repository_id": "--id",
    "--sort-by": "--sort",
    "--timeout": "--request-timeout",
    "--top": "--limit",
    "--url": "--base-url",
    "-L": "--limit",
    "-f": "--yes,--output",
    "-l": "--limit",
    "-n": "--limit",
}


class GlobalOption(click.Option):
    """An option that stands before or after the command; the last one counts."""

    def __init__(self, *declarations: Any, **attributes: Any) -> None:
        super().__init__(*declarations, expose_value=False, callback=self._store, **attributes)

    @staticmethod
    def _store(ctx: click.Context, option: click.Parameter, value: Any) -> None:
        stored = stored_options(ctx)
        if option.name == "verbose":
            value += stored.get("verbose", 0)
        if value is not None and option.name is not None:
            stored[option.name] = value


def seconds(text: str | float) -> float:
    """Return a time in seconds, as the type of an option."""
    from .._validation import check_timeout

    try:
        return check_timeout("it", text, convert=True)
    except exceptions.InvalidArgument as error:
        raise click.BadParameter(str(error)) from None


_GLOBAL_OPTIONS = [
    GlobalOption(
        ["--organization", "organization_id"],
        metavar="ID",
        help="The organization's id.  [env:\xa0ABEJA_ORGANIZATION_ID]",
    ),
    GlobalOption(
        ["--profile"],
        metavar="NAME",
        shell_complete=complete_profiles,
        help="Use this profile of ~/.abeja/config, even over environment variables. ABEJA_PROFILE"
        " also selects one, but environment variables win over it.",
    ),
    GlobalOption(["--base-url"], metavar="URL", help="The API's URL.  [env:\xa0ABEJA_API_URL]"),
    GlobalOption(
        ["--request-timeout"],
        type=seconds,
        metavar="SECONDS",
        help="Limit for each connect, read or write (default 30)."
        "  [env:\xa0ABEJA_SDK_CONNECTION_TIMEOUT]",
    ),
    GlobalOption(
        ["--deadline"],
        type=seconds,
        metavar="SECONDS",
        help="Limit for a whole call, retries included (default 120).",
    ),
    GlobalOption(
        ["-v", "--verbose"],
        count=True,
        help="Show each request on stderr; -vv also the headers of its response.",
    ),
]


def global_options(
    function: Callable[Concatenate[ClientOptions, P], R],
) -> Callable[P, R]:
    """Add the global options; the function's first argument has their values."""

    @wraps(function)
    def with_options(*args: P.args, **params: P.kwargs) -> R:
        return function(client_options(click.get_current_context()), *args, **params)

    with_options.__click_params__ = [  # type: ignore[attr-defined]
        *reversed(_GLOBAL_OPTIONS),
        *getattr(function, "__click_params__", ()),
    ]
    return with_options


class _Base(click.Command):
    """The part that commands and groups share.

    Args:
        examples: Command lines, without the program's name.
    """

    def __init__(
        self, name: str | None = None, *, examples: Sequence[str] = (), **attributes: Any
    ) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(name, context_settings=settings, **attributes)
        self._examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(self._suggest_option(error.option_name), ctx) from None
        except click.BadOptionUsage as error:  # without a context
            option = error.option_name
            values = [param.metavar for param in self.params if option in param.opts]
            needs = f"option {option} needs {values[0]}" if values[0] else error.message
            raise click.UsageError(needs, ctx) from None

    def _suggest_option(self, name: str) -> str:
        own = [option for param in self.params for option in param.opts if option[0] == "-"]
        close = get_close_matches(name, own, n=1)
        others = _OTHER_OPTIONS.get(name, "").split(",")
        close = [each for each in others if each.partition(" ")[0] in own] or close
        return f"no option {name}{f'; use {close[0]}' if close else ''}"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of the command, and then the global ones."""
        params = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        for title, is_global in (("Options", False), ("Global options", True)):
            chosen = [each for each in params if isinstance(each, GlobalOption) is is_global]
            records = [record for each in chosen if (record := each.get_help_record(ctx))]
            if is_global and ctx.parent is not None and records:
                with formatter.section(title):
                    names = ", ".join(record[0] for record in records)
                    formatter.write_text(f"{names}: see abeja-registry --help")
            else:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self._examples:
            with formatter.section("Examples" if len(self._examples) > 1 else "Example"):
                for example in self._examples:
                    formatter.write(f"{'':{formatter.current_indent}}abeja-registry {example}\n")
        super().format_epilog(ctx, formatter)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help; a no-break space keeps words on one line."""
        return super().get_help(ctx).replace("\xa0", " ")


class Command(_Base):
    """A command; without the arguments that it needs, it shows its help.

    Args:
        instead: Returns what to use without an argument that is missing, from the other words.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        instead: Callable[[Sequence[str]], str] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        self._instead = instead

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = not args and not ctx.resilient_parsing
        if bare and any(param.required or param.nargs == -1 for param in self.params):
            click.echo(ctx.get_help(), err=True)
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if isinstance(error, click.MissingParameter) and self._instead is not None:
                missing = error.format_message().rstrip(".")
                raise click.UsageError(f"{missing}; {self._instead(words)}", ctx) from None
            root = ctx.find_root().command
            if "unexpected extra" not in error.message or not isinstance(root, Group):
                raise
            # A command of the program, such as `inventory diff`.
            names = [word for word in words if word in root.commands]
            hint = f"; use `{ctx.find_root().command_path} {names[0]}`" if names else ""
            raise click.UsageError(f"{error.message.rstrip('.')}{hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except exceptions.InvalidArgument as error:
            raise click.UsageError(in_options(str(error), self._option_names()), ctx) from None

    def _option_names(self) -> dict[str, str]:
        names = {"repository_id": "REPOSITORY"}
        for param in self.params:
            names[param.name or ""] = max(param.opts, key=len)
        return names


class LazyCommand(click.Command):
    """A command of another package, which is loaded when it runs.

    Args:
        name: The command's name.
        module: The module, relative to this package, whose `command` it is.
        short_help: Its line in the help.
    """

    def __init__(self, name: str, module: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._module = module

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the loaded command."""
        command: click.Command = import_module(self._module, __package__).command
        return command.make_context(info_name, args, parent, **extra)


class Group(_Base, click.Group):
    """Some commands; without one of them, it shows its help."""

    command_class = Command
    group_class = type

    def __init__(self, name: str | None = None, **attributes: Any) -> None:
        super().__init__(name, subcommand_metavar="COMMAND", **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the help."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, or by an alias."""
        return self.commands.get(cmd_name) or self.commands.get(_ALIASES.get(cmd_name, ""))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names, and the other words."""
        if args[0] == "help" and ctx.parent is None:
            args = [*args[1:], "--help"]
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return command.name, command, args[1:]
        if name == "--help":
            click.echo(ctx.get_help())
            ctx.exit()
        if ctx.resilient_parsing or name.startswith("-"):
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"no command {name!r}{self._suggest_command(ctx, name)}", ctx)

    def _suggest_command(self, ctx: click.Context, name: str) -> str:
        if ctx.parent is None and name in _NO_COMMAND:
            return f"; {_NO_COMMAND[name]}"
        groups = {k: v for k, v in self.commands.items() if isinstance(v, click.Group)}
        nested = {f"{k} {own}": own for k, v in groups.items() for own in v.commands}
        alias = _ALIASES.get(name) or _SYNONYMS.get(name, name)
        uses = [path for path, own in nested.items() if own == alias]
        if ctx.parent is None and name in _ELSEWHERE:
            uses = [_ELSEWHERE[name]]
        uses = uses or [alias] * (alias in self.commands)
        uses = uses or get_close_matches(name, self.commands, n=1)
        uses = uses or [path for path, own in nested.items() if get_close_matches(name, [own])]
        if not uses and "list" in self.commands:  # a repository, whose list is wanted
            uses = ["list" if self.name == "repositories" else f"list {name}"]
        commands = " or ".join(f"`{ctx.command_path} {each}`" for each in uses)
        return f"; use {commands}" if uses else ""


def chain(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one decorator for several, the first of which is the outermost."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(list(decorators)):
            function = decorator(function)
        return function

    return decorate
