"""The sandbox by itself: `python -m abeja_registry.sandbox --port 0 --seed`."""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from .._settings.credentials import authorization
from . import Sandbox
from ._faults import Fault, parse_fault
from ._sandbox import ANY_CREDENTIAL, LIMIT_MAX, LOOPBACK, VARIABLES
from ._secrets import read_lines, read_or_make_token

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

EXAMPLES = """\
Examples:
  {program} --port 8080 --seed
  {program} --data registry.sqlite --fault operation=create_repository,status=503,times=2"""

# SIGHUP and, on Windows, SIGBREAK: the terminal was closed.
ENDS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
PROGRAM = "python -m abeja_registry.sandbox"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Serve until Ctrl-C, SIGTERM or the end of the terminal.

    Args:
        arguments: the command line after the program's name, `sys.argv`'s unless given.
        program: how it was called, as its help says.

    Returns:
        The exit code: 0 once told to end, 1 if the port, the data, a file of secrets or the Docker
        registry can't be had, or nobody reads what is printed.

    Raises:
        SystemExit: with code 2, if the command line is wrong.
    """
    parser = _parser(program)
    options = parser.parse_args(arguments)
    credentials = [_credential(text) for text in options.credential]
    try:
        for file in options.credential_file:
            credentials += _credentials(file)
        token_file = options.control_token_file
        token = None if token_file is None else read_or_make_token(token_file)
    except (OSError, ValueError) as error:
        _fail(error)
        return 1
    try:
        sandbox = Sandbox(
            organization_id=options.organization,
            host=options.host,
            port=options.port,
            data=options.data,
            limit_max=options.limit_max,
            latency=options.latency,
            credentials=credentials,
            docker_registry=options.docker_registry,
            allow_hosts=options.allow_host,
            control_token=token,
        )
    except ValueError as error:
        parser.error(str(error))
    if options.seed and options.docker_registry:
        parser.error("--seed and --docker-registry exclude each other: tags come from the registry")
    for fault in options.fault:
        sandbox.faults.arm(fault)
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
        if options.seed and sandbox.is_empty:
            sandbox.seed()
            sandbox.seed(repositories=1, tags=250)
        try:
            _say(sandbox, credentials, options)
        except OSError as error:
            # Nobody reads where it is, or the disk is full. Python writes the rest as it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _fail(error)
            return 1
        while True:
            time.sleep(3600)
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="A Registry API on this machine, until Ctrl-C.",
        epilog=EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = "(default: %(default)s)"
    add = parser.add_argument
    add("--host", default=LOOPBACK, help=f"the address to listen on {default}")
    add("--port", type=int, default=8080, help=f"0 takes a free one {default}")
    add("--data", metavar="FILE", help="the SQLite file to keep all in (default: none is kept)")
    add("--seed", action="store_true", help="make some repositories with tags, if there are none")
    add("--organization", default="1410000000000", metavar="ID", help=f"its id {default}")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help=f"of each answer {default}")
    add("--limit-max", type=int, default=LIMIT_MAX, metavar="ROWS", help=f"of a page {default}")
    add(
        "--credential",
        action="append",
        default=[],
        metavar="TOKEN|ID:SECRET",
        help="let in this one, and others that are given so (default: any)",
    )
    add(
        "--credential-file",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="let in those that this file holds, one in each line; none is printed",
    )
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name by which clients reach it (default: loopback's, and --host)",
    )
    add(
        "--control-token-file",
        type=Path,
        metavar="FILE",
        help="the token for /_sandbox, made if there is no such file (default: one is printed where"
        " --host is beyond loopback, and else none is needed)",
    )
    add(
        "--docker-registry",
        metavar="URL",
        help="show the tags of this Docker registry, under <organization>/<repository>",
    )
    add(
        "--shell",
        choices=("sh", "powershell"),
        default="powershell" if os.name == "nt" and "SHELL" not in os.environ else "sh",
        help=f"the shell that takes the variables which are printed {default}",
    )
    add(
        "--fault",
        action="append",
        type=_fault,
        default=[],
        metavar="FIELD=VALUE,…",
        help="let requests fail, as in operation=create_repository,status=503,times=2; the fields"
        " are those of Sandbox.faults.add",
    )
    return parser


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def _say(sandbox: Sandbox, credentials: list[dict[str, str]], options: argparse.Namespace) -> None:
    export = partial(_assignment, options.shell)
    print(f"# A Registry API on {sandbox.url}. For its clients:")
    print(export("ABEJA_API_URL", sandbox.url))
    print(export("ABEJA_ORGANIZATION_ID", sandbox.organization_id))
    if options.credential or not credentials:
        for part, value in [*credentials, ANY_CREDENTIAL][0].items():
            print(export(VARIABLES[part], value))
    else:
        print(f"# The credential is in {str(options.credential_file[0])!r}.")
    token = sandbox.control_token
    if options.control_token_file is not None:
        token = f"<the token in {str(options.control_token_file)!r}>"
        print(f"# /_sandbox needs Authorization: Bearer {token}.")
    elif token is not None:
        print(
            "# Other machines may reach it. /_sandbox needs Authorization: Bearer and this token:"
        )
        print(export(CONTROL_TOKEN, token))
        if not credentials:
            print("# The API accepts any credential; --credential limits it.")
    if options.docker_registry is not None:
        print(NOTIFICATIONS.format(url=sandbox.notifications_url), end="")
        print("" if token is None else NOTIFICATIONS_TOKEN.format(token=token))
    print("# Ctrl-C ends it.", flush=True)


def _assignment(shell: str, name: str, value: str) -> str:
    if shell == "powershell":
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"
    return f"export {name}={shlex.quote(value)}"


def _end(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second Ctrl-C must not break into the closing.
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
