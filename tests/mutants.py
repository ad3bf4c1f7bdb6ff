"""Breaks the package in one place at a time, and runs the tests that reach it: do they notice?

`make mutants` takes a seeded sample of the whole package, and prints the mutants that none of their
tests notices. Some change no behaviour: read them, and write a test for each of the others.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from coverage import CoverageData

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "abeja_registry"
# Seconds: tests that take longer, or one of them a tenth of it, have noticed a mutant.
LIMIT = 600
# A mutant meets so many of the tests that reach it, and so many cases of each.
TESTS, CASES = 400, 4
# The processes that a test starts record its name, too: pytest sets this variable.
SETTINGS = """[run]
data_file = {data_file}
source_pkgs = abeja_registry
parallel = true
context = ${{PYTEST_CURRENT_TEST-}}
"""
# What follows a test's name in a context.
PHASE = re.compile(r"[|](setup|run|teardown)$| [(](setup|call|teardown)[)]$")

OPPOSITES: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}

# The first line and column, and the last; columns count bytes.
Place = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mutant:
    """A change of one place.

    Attributes:
        path: The module.
        line: The place's first line.
        lines: The place's lines; none if it is run at import, so that no test reaches it alone.
        before: The text of its lines.
        after: What replaces it.
        source: The source of the changed module.
    """

    path: Path
    line: int
    lines: set[int]
    before: str
    after: str
    source: bytes

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:90] for text in (self.before, self.after))
        return f"{self.path.relative_to(PACKAGE)}:{self.line}: {before}  ->  {after}"


def changes(node: ast.AST) -> Iterator[tuple[Place, str]]:
    """Yield places in a node, each with the source that replaces it."""
    match node:
        case ast.Compare(left, [operator], comparators):
            yield of(node), f"({source(ast.Compare(left, [opposite(operator)], comparators))})"
        case ast.BoolOp(operator, values):
            yield of(node), f"({source(ast.BoolOp(opposite(operator), values))})"
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            yield of(node), f"({source(ast.BinOp(left, opposite(operator), right))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield of(node), f"({source(operand)})"
        case ast.Constant(bool() as value):
            yield of(node), str(not value)
        case ast.Constant(int() | float() as value):
            yield of(node), str(value + 1)
        case ast.Call(ast.Name("max" | "min" | "TypeVar")):
            pass
        case ast.Call(function, [first, second, *rest], keywords):
            if not any(isinstance(each, ast.Starred) for each in (first, second)):
                yield of(node), source(ast.Call(function, [second, first, *rest], keywords))
        case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Delete() | ast.Raise():
            yield of(node), "pass"
        case ast.Assign([ast.Attribute() | ast.Subscript()], _):
            yield of(node), "pass"
        case ast.Return(ast.expr() as value):
            if not (isinstance(value, ast.Constant) and value.value is None):
                yield of(node), "return None"
        case ast.With(items) | ast.AsyncWith(items):
            if not any(item.optional_vars for item in items):
                yield (*of(node)[:2], *of(items[-1].context_expr)[2:]), "if True"


def of(node: ast.AST) -> Place:
    """Return the place of a statement or an expression."""
    assert isinstance(node, ast.stmt | ast.expr)
    return node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0


def opposite(operator: ast.AST) -> Any:
    """Return the operator that replaces one."""
    return OPPOSITES[type(operator)]()


def source(node: ast.AST) -> str:
    """Return the source of a node."""
    return ast.unparse(ast.fix_missing_locations(node))


def without_behaviour(node: ast.AST) -> Iterator[ast.AST | None]:
    """Yield the parts of a node that are for readers and type checkers, or write a log."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.returns
            yield from (
                each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)
            )
        case ast.AnnAssign():
            yield node.annotation
        # Python 3.11 knows no exact places in these.
        case ast.JoinedStr():
            yield node
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.ClassDef(bases=[ast.Name("Protocol"), *_]):
            yield node
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("_logger")))):
            yield node


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that has to do with behaviour."""
    skipped = set(without_behaviour(tree))
    if tree not in skipped:
        yield tree
        for child in ast.iter_child_nodes(tree):
            if child not in skipped:
                yield from nodes(child)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module."""
    lines = [line.encode() for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    tree = ast.parse(b"".join(lines))
    in_functions = set(chain.from_iterable(map(body_lines, ast.walk(tree))))
    for node in nodes(tree):
        for (line, column, end_line, end_column), after in changes(node):
            start, end = lines[line - 1][:column], lines[end_line - 1][end_column:]
            changed = [*lines[: line - 1], start, after.encode(), end, *lines[end_line:]]
            before = b"".join(lines[line - 1 : end_line])
            place = in_functions.intersection(range(line, end_line + 1))
            yield Mutant(path, line, place, before.decode(), after, b"".join(changed))


def body_lines(node: ast.AST) -> range:
    """Return the lines of a function's body, which is not run at import."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return range(node.body[0].lineno, (node.end_lineno or 0) + 1)
    return range(0)


def reached_lines(data: CoverageData, path: str) -> dict[str, set[int]]:
    """Return the lines of a module that each test reaches, also in a process that it starts."""
    # A process may run other tests.
    known = {PHASE.sub("", context) for context in data.measured_contexts() if "|" in context}
    tests: dict[str, set[int]] = {}
    for line, contexts in data.contexts_by_lineno(path).items():
        for test in known.intersection(PHASE.sub("", context) for context in contexts):
            tests.setdefault(test, set()).add(line)
    return tests


class Suite:
    """All tests, and what each of them reaches.

    Args:
        folder: Where a copy of the package is run, and what it reaches is kept.
    """

    def __init__(self, folder: Path) -> None:
        data_file, config = folder / "coverage", folder / "settings.ini"
        config.write_text(SETTINGS.format(data_file=data_file))
        package = copy_package(folder)
        every = ["--cov", f"--cov-config={config}", "--cov-context=test", "--cov-report="]
        workers = f"--numprocesses={3 * (os.cpu_count() or 1)}"
        arguments = [*every, workers, "--maxschedchunk=16"]
        ran = run_tests(folder, arguments, 6 * LIMIT, COVERAGE_PROCESS_START=str(config))
        if ran is None or ran.returncode:
            sys.exit(f"the tests fail without a mutant:\n{ran and ran.stdout[-5000:]}")
        data = CoverageData(str(data_file))
        data.read()
        self._reached = {
            path: reached_lines(data, str(package / path.relative_to(PACKAGE)))
            for path in PACKAGE.rglob("*.py")
        }
        # How many lines of the package each test reaches.
        self._widths: Counter[str] = Counter()
        for tests in self._reached.values():
            self._widths.update({test: len(lines) for test, lines in tests.items()})

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that reach a mutant, of which those come first that reach little else.

        Where none reaches its lines, or at import, all tests of its module count.
        """
        tests = self._reached[mutant.path]
        found = [test for test, lines in tests.items() if mutant.lines & lines] or list(tests)
        cases: Counter[str] = Counter()
        first = []
        for test in sorted(found, key=lambda test: (self._widths[test], test)):
            function = test.partition("[")[0]
            cases[function] += 1
            if cases[function] <= CASES:
                first.append(test)
        return first[:TESTS]

    def survives(self, mutant: Mutant) -> bool:
        """Whether none of its tests notices a mutant."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if not (chosen := self.tests_of(mutant)):
                return True
            tests = folder / "tests"
            tests.write_text("\n".join(chosen))
            (copy_package(folder) / mutant.path.relative_to(PACKAGE)).write_bytes(mutant.source)
            ran = run_tests(folder, [f"@{tests}"], LIMIT)
            return ran is not None and not ran.returncode


def copy_package(folder: Path) -> Path:
    """Copy the package into a folder, and return the copy."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignored))


def run_tests(
    folder: Path, arguments: Iterable[str], limit: float, **variables: str
) -> subprocess.CompletedProcess[str] | None:
    """Run tests with the package of a folder, until one fails; None if they take too long."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [f"--timeout={limit / 10}", *arguments]
    own = {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0", **variables}
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return None


def main() -> None:
    """Print the mutants that none of their tests notices, and the share of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", type=Path, help="default: the whole package")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="print the sample, and run nothing")
    options = parser.parse_args()
    modules = [path.resolve() for path in options.modules] or sorted(PACKAGE.rglob("*.py"))
    every = [mutant for path in modules for mutant in mutants_of(path)]
    sample = random.Random(options.seed).sample(every, min(options.sample, len(every)))
    print(f"{len(sample)} of {len(every)} mutants", flush=True)
    if options.list:
        print(*sample, sep="\n")
        return
    noticed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as jobs:
        # Coverage names resolved paths.
        suite = Suite(Path(folder).resolve())
        for mutant, survived in zip(sample, jobs.map(suite.survives, sample), strict=True):
            noticed += not survived
            if survived:
                print(mutant, flush=True)
    print(f"{noticed} of {len(sample)} noticed, {noticed / len(sample):.1%}")


if __name__ == "__main__":
    main()
