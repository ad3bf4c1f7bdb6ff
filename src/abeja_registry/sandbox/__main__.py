"""The sandbox as a program: `python -m abeja_registry.sandbox --port 0 --seed`."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from .._settings.credentials import authorization
from . import Sandbox
from ._faults import Fault, parse_fault
from ._sandbox import ANY_CREDENTIAL, LIMIT_MAX, LOOPBACK, VARIABLES
from ._secrets import read_lines, read_or_make_token
from ._shells import SHELLS

# What a Docker registry's configuration needs; to a shell that takes the exports it is a comment.
NOTIFICATIONS = """\
# The Docker registry's configuration has to hold, for pushes to be seen as they come:
#   notifications:
#     endpoints:
#       - name: abeja-registry-sandbox
#         url: {url}
#         timeout: 10s
#         threshold: 3
#         backoff: 1s"""
NOTIFICATIONS_TOKEN = """
#         headers:
#           Authorization: [Bearer {token}]"""
CONTROL_TOKEN = "ABEJA_SANDBOX_CONTROL_TOKEN"

EXAMPLES = (
    "--port 8080 --seed",
    "--data registry.sqlite --fault operation=create_repository,status=503,times=2",
)

# SIGHUP and, on Windows, SIGBREAK: the terminal was closed.
ENDS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
PROGRAM = "python -m abeja_registry.sandbox"
_FILE = click.Path(path_type=Path)


class _Sandbox(click.Command):
    """The command, with examples that begin with the program's name."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        with formatter.section("Examples"):
            for example in EXAMPLES:
                formatter.write(f"  {ctx.command_path} {example}\n")


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    "sandbox",
    cls=_Sandbox,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen on.")
@click.option("--port", type=int, default=8080, show_default=True, help="0 for a free port.")
@click.option("--data", metavar="FILE", help="Keep the data in this SQLite file.")
@click.option("--seed", is_flag=True, help="Create repositories with tags, if there are none.")
@click.option(
    "--organization",
    default="1410000000000",
    metavar="ID",
    show_default=True,
    help="The organization's id.",
)
@click.option(
    "--latency",
    type=float,
    default=0.0,
    metavar="SECONDS",
    show_default=True,
    help="Delay every response by this much.",
)
@click.option(
    "--limit-max",
    type=int,
    default=LIMIT_MAX,
    metavar="ROWS",
    show_default=True,
    help="The largest page.",
)
@click.option(
    "--credential",
    multiple=True,
    metavar="TOKEN|ID:SECRET",
    help="Accept this credential; may be repeated.  [default: any]",
)
@click.option(
    "--credential-file",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="Accept the credentials in this file, one on each line; none is printed.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Another host name of the sandbox, beside loopback's and --host; may be repeated.",
)
@click.option(
    "--control-token-file",
    type=_FILE,
    metavar="FILE",
    help="The token for /_sandbox; the file is created if it does not exist. By default a token is"
    " printed if --host is not loopback, and none is needed otherwise.",
)
@click.option(
    "--docker-registry",
    metavar="URL",
    help="Show the tags of this Docker registry, under <organization>/<repository>.",
)
@click.option(
    "--shell",
    type=click.Choice(["sh", "powershell"]),
    default="powershell" if os.name == "nt" and "SHELL" not in os.environ else "sh",
    show_default=True,
    help="The shell for which the variables are printed.",
)
@click.option(
    "--fault",
    multiple=True,
    type=_fault,
    metavar="FIELD=VALUE,…",
    help="Make requests fail, with the fields of Sandbox.faults.add:"
    " operation=create_repository,status=503,times=2",
)
def command(
    credential: Sequence[str],
    credential_file: Sequence[Path],
    control_token_file: Path | None,
    seed: bool,
    shell: str,
    fault: Sequence[Fault],
    organization: str,
    allow_host: Sequence[str],
    docker_registry: str | None,
    **options: Any,
) -> int:
    """Serve a Registry API on this machine, until Ctrl-C."""
    if seed and docker_registry:
        raise click.UsageError(
            "--seed and --docker-registry exclude each other: tags come from the registry"
        )
    credentials = [_credential(text) for text in credential]
    try:
        for file in credential_file:
            credentials += _credentials(file)
        token = None if control_token_file is None else read_or_make_token(control_token_file)
    except (OSError, ValueError) as error:
        _fail(error)
        return 1
    try:
        sandbox = Sandbox(
            organization_id=organization,
            credentials=credentials,
            docker_registry=docker_registry,
            allow_hosts=allow_host,
            control_token=token,
            **options,
        )
    except ValueError as error:
        raise click.UsageError(_in_options(str(error))) from None
    for each in fault:
        sandbox.faults.arm(each)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    for number in ENDS:
        # A shell starts what is in the background with the first ignored, nohup with the last.
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(sandbox):
        try:
            sandbox.start()
        except (OSError, ValueError) as error:
            _fail(error)
            return 1
        if seed and sandbox.is_empty:
            sandbox.seed()
            sandbox.seed(repositories=1, tags=250)
        printed = None if credentials and not credential else [*credentials, ANY_CREDENTIAL][0]
        try:
            _print_variables(
                sandbox,
                shell,
                printed,
                credential_file,
                control_token_file,
                mirrors=docker_registry is not None,
            )
        except OSError as error:
            # Nobody reads it, or the disk is full. Python would write the rest at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _fail(error)
            return 1
        while True:
            time.sleep(3600)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM or the end of the terminal.

    Args:
        arguments: The command line after the program's name. Defaults to `sys.argv`.

    Returns:
        The exit code: 0 after a signal; 1 if the port, the data, a file of secrets or the Docker
        registry cannot be used, or nobody reads the output.

    Raises:
        SystemExit: With code 2, if the command line is wrong.
    """
    try:
        code: int = command.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    return code


def _in_options(text: str) -> str:
    """Return a message that begins with an option in place of an argument."""
    name, space, rest = text.partition(" ")
    option = {"organization_id": "--organization", "allow_hosts": "--allow-host"}.get(name)
    option = option or f"--{name.replace('_', '-')}"
    known = {each for param in command.params for each in param.opts}
    return f"{option if option in known else name}{space}{rest}"


def _credential(text: str) -> dict[str, str]:
    user, colon, secret = text.partition(":")
    if not colon:
        return {"auth_token": text}
    if user.startswith("datasource-"):
        return {"datasource_id": user, "datasource_secret": secret}
    return {"user_id": user, "personal_access_token": secret}


def _credentials(file: Path) -> list[dict[str, str]]:
    """Read the credentials of a file; raises OSError or ValueError, which name it and show none."""
    credentials = []
    for line in read_lines(file):
        credentials.append(_credential(line))
        try:
            authorization(credentials[-1])
        except ValueError as error:
            raise ValueError(f"{str(file)!r}, credential {len(credentials)}: {error}") from None
    return credentials


def _fail(error: Exception) -> None:
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    print(f"error: {where}{getattr(error, 'strerror', None) or error}", file=sys.stderr)


def _print_variables(
    sandbox: Sandbox,
    shell: str,
    credential: dict[str, str] | None,
    credential_files: Sequence[Path],
    token_file: Path | None,
    *,
    mirrors: bool,
) -> None:
    """Print the variables of a client; a credential of a file is not printed."""
    export = {name.lower(): line for name, line in SHELLS.items()}[shell]
    print(f"# A Registry API on {sandbox.url}. For its clients:")
    print(export("ABEJA_API_URL", sandbox.url))
    print(export("ABEJA_ORGANIZATION_ID", sandbox.organization_id))
    for part, value in (credential or {}).items():
        print(export(VARIABLES[part], value))
    if credential is None:
        print(f"# The credential is in {str(credential_files[0])!r}.")
    token = sandbox.control_token
    if token_file is not None:
        token = f"<the token in {str(token_file)!r}>"
        print(f"# /_sandbox needs Authorization: Bearer {token}.")
    elif token is not None:
        print(
            "# Other machines may reach it. /_sandbox needs Authorization: Bearer and this token:"
        )
        print(export(CONTROL_TOKEN, token))
        if credential is ANY_CREDENTIAL:
            print("# The API accepts any credential; --credential limits it.")
    if mirrors:
        print(NOTIFICATIONS.format(url=sandbox.notifications_url), end="")
        print("" if token is None else NOTIFICATIONS_TOKEN.format(token=token))
    print("# Ctrl-C ends it.", flush=True)


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not break into the closing.
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
