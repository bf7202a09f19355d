"""House rules that no other tool checks, read off the syntax trees of the files.

Each rule is a function from a file to the places that break it. Every rule is first shown a small piece of
code that breaks it, so that a rule which sees nothing fails here.
"""

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("chain", "consensus", "storage", "p2p", "node", "cli")
PURE = ("chain", "consensus")
OURS = (*PACKAGES, "tests", "bench")
IMPURE_MODULES = frozenset(
    (
        "trio",
        "anyio",
        "asyncio",
        "threading",
        "time",
        "datetime",
        "random",
        "secrets",
        "uuid",
        "os",
        "sys",
        "pathlib",
        "socket",
        "logging",
        "structlog",
        "plyvel",
        "libp2p",
    )
)
# The two boundaries where any failure ends one peer or one request only.
BROAD_EXCEPT_FILES = frozenset({"p2p/boundary.py", "node/api/boundary.py"})
PRINT_FILES = frozenset({"cli/terminal/output.py"})
TAKES_ORDER = frozenset(("list", "tuple", "iter", "enumerate", "next", "join"))
SET_TYPE = re.compile(r"(frozen)?set\b|(Abstract)?Set\b")
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 500
FOLDER_FILES_MAX = 16
BANNED_PHRASES = re.compile(
    r"\b(can not|of now|who is none|that is none|what lacks|is to happen|affairs?|laid to|nobody's word|"
    r"dear(er|est)?|for ever|anew|shall|his own|by now|the door|believes? nobody|knocks?|politeness)\b",
    re.IGNORECASE,
)
"""Riddles, old words and private metaphors that came up often; docs/STYLE.md says what to write."""
# From Python 3.12 on the text of an f-string is a token of its own.
PROSE_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
QUOTES_BANNED_PHRASES = frozenset(("docs/STYLE.md", "tests/test_tidy.py"))
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")


class Source(NamedTuple):
    """A file, read and parsed."""

    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.split("/")[0]


Rule = Callable[[Source], Iterator[tuple[int, str]]]


@cache
def read(path: Path) -> Source:
    text = path.read_text()
    return Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text))


def find_sources(*folders: str) -> list[Source]:
    return [read(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def find_long_functions(source: Source) -> Iterator[tuple[int, str]]:
    for function in functions(source.tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield function.lineno, f"{function.name} has {lines} lines"


def find_long_file(source: Source) -> Iterator[tuple[int, str]]:
    if (lines := source.text.count("\n")) > FILE_LINES_MAX:
        yield lines, f"{lines} lines"


def find_missing_docstring(source: Source) -> Iterator[tuple[int, str]]:
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield 1, "no module docstring"


def find_unfinished(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if UNFINISHED.search(line):
            yield number, line.strip()


def find_broad_except(source: Source) -> Iterator[tuple[int, str]]:
    """A handler of everything that ends in `raise` only cleans up, and is no boundary."""
    if source.name in BROAD_EXCEPT_FILES:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and ast.unparse(node.body[-1]) != "raise":
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or name_of(kind) in {"Exception", "BaseException"} for kind in caught):
                yield node.lineno, "broad except"


def find_raise_in_group(source: Source) -> Iterator[tuple[int, str]]:
    """Before Python 3.11.4 what a clause of `except*` raises comes out in a group (gh-103590): raise it
    after.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.TryStar):
            raised = [inner for handler in node.handlers for inner in ast.walk(handler)]
            yield from (
                (one.lineno, "raise in except*") for one in raised if isinstance(one, ast.Raise) and one.exc
            )


def find_print(source: Source) -> Iterator[tuple[int, str]]:
    if source.name not in PRINT_FILES:
        yield from find_calls(source, {"print"})


def find_impure_imports(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        else:
            continue
        for name in imported:
            if name.split(".")[0] in IMPURE_MODULES:
                yield node.lineno, f"imports {name}"


def find_floats(source: Source) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"float {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "true division"
    yield from find_calls(source, {"float", "complex"})


def find_identity(source: Source) -> Iterator[tuple[int, str]]:
    """`hash` differs between processes for bytes and text, `id` between any two runs."""
    yield from find_calls(source, {"hash", "id"})


def find_set_order(source: Source) -> Iterator[tuple[int, str]]:
    """Walking a set, or making a sequence of it: its order differs between processes; `sorted` is the way."""
    sets = find_set_names(source.tree)
    for node in ast.walk(source.tree):
        walked: list[ast.expr] = []
        if isinstance(node, ast.For | ast.comprehension):
            walked = [node.iter]
        elif isinstance(node, ast.Starred):
            walked = [node.value]
        elif isinstance(node, ast.Call) and name_of(node.func) in TAKES_ORDER:
            walked = node.args
        yield from ((item.lineno, "order of a set") for item in walked if is_set(item, sets))


def find_set_names(tree: ast.AST) -> frozenset[str]:
    """Names and attributes that the file makes sets of, or says are sets."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_set(node.value, frozenset()):
            names.update(name_of(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign) and SET_TYPE.match(ast.unparse(node.annotation)):
            names.add(name_of(node.target))
        elif isinstance(node, ast.arg) and node.annotation and SET_TYPE.match(ast.unparse(node.annotation)):
            names.add(node.arg)
    return frozenset(names)


def is_set(node: ast.expr, names: frozenset[str]) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return is_set(node.left, names) or is_set(node.right, names)
    if isinstance(node, ast.Call):
        return name_of(node.func) in {"set", "frozenset"}
    return isinstance(node, ast.Name | ast.Attribute) and name_of(node) in names


def find_calls(source: Source, names: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node.lineno, f"calls {node.func.id}"


def find_untold_tests(source: Source) -> Iterator[tuple[int, str]]:
    for function in functions(source.tree):
        if function.name.startswith("test_") and not ast.get_docstring(function):
            yield function.lineno, f"{function.name} does not say what must hold"


def find_missing_imports(source: Source) -> Iterator[tuple[int, str]]:
    """Imports of our own that do not exist: mypy does not read tests, and slow ones are seldom run."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            for alias in node.names:
                if not is_importable(str(node.module), alias.name):
                    yield node.lineno, f"{node.module} has no {alias.name}"


@cache
def is_importable(module: str, name: str) -> bool:
    base = ROOT.joinpath(*module.split("."))
    if (base / name).is_dir() or (base / f"{name}.py").exists():
        return True
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return file.exists() and re.search(rf"\b{name}\b", file.read_text()) is not None


def find_banned_phrases(source: Source) -> Iterator[tuple[int, str]]:
    """In comments, docstrings and messages; names in code may use any word."""
    if source.name in QUOTES_BANNED_PHRASES:
        return
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type in PROSE_TOKENS and (found := find_phrase(token.string)):
            yield token.start[0], found


def find_phrase(text: str) -> str | None:
    """The first banned phrase, also one that is broken over two lines."""
    found = BANNED_PHRASES.search(re.sub(r"\s+", " ", text))
    return found[0] if found else None


def name_of(node: ast.expr) -> str:
    """The last part of a dotted name, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


EVERYWHERE: tuple[Rule, ...] = (
    find_long_functions,
    find_long_file,
    find_missing_docstring,
    find_banned_phrases,
)
IN_PACKAGES: tuple[Rule, ...] = (find_unfinished, find_broad_except, find_raise_in_group, find_print)
IN_PURE: tuple[Rule, ...] = (find_impure_imports, find_floats, find_identity, find_set_order)
IN_TESTS: tuple[Rule, ...] = (find_untold_tests, find_missing_imports)

CLEAN_UP = "try:\n    f()\nexcept BaseException:\n    close()\n    raise"
LONG = "def f():" + "\n    x = 1" * FUNCTION_LINES_MAX
PLANTED = [
    (find_long_functions, LONG, LONG.replace("\n    x = 1", "", 1)),
    (find_long_file, "x = 1\n" * (FILE_LINES_MAX + 1), "x = 1\n" * FILE_LINES_MAX),
    (find_missing_docstring, "x = 1", '"""Doc."""'),
    (find_banned_phrases, "x = 1  # it can not be", "can_not = 1  # it cannot be"),
    (
        find_banned_phrases,
        '"""What is\n    to happen."""',
        '"""What happens. The dearth of shallow doors."""',
    ),
    (find_unfinished, "x = 1  # TODO later", "x = 1  # done"),
    (find_broad_except, "try: f()\nexcept Exception: pass", "try: f()\nexcept ValueError: pass"),
    (find_broad_except, "try: f()\nexcept: pass", "try: f()\nfinally: pass"),
    (find_broad_except, "try: f()\nexcept* (KeyError, Exception): pass", CLEAN_UP),
    (find_raise_in_group, "try: f()\nexcept* A: raise B", "try: f()\nexcept* A: x = B\nraise x"),
    (find_print, "print(1)", "self.print(1)"),
    (find_impure_imports, "import os.path", "import operator"),
    (find_impure_imports, "from time import sleep", "from chain.time import f"),
    (find_floats, "x = 0.5", "x = 5"),
    (find_floats, "x = a / b", "x = a // b"),
    (find_floats, "x /= 2", "x //= 2"),
    (find_floats, "x = float(2)", "x = floor(2)"),
    (find_identity, "x = hash(b'')", "x = hash_bytes(b'')"),
    (find_identity, "x = id(y)", "x = y.id"),
    (find_set_order, "for x in {1, 2}: pass", "for x in sorted({1, 2}): pass"),
    (find_set_order, "x = [y for y in set(z)]", "x = [y for y in z]"),
    (find_set_order, "x = tuple({y for y in z})", "x = len({y for y in z})"),
    (find_set_order, "x = set()\nfor y in x: pass", "x = set()\nfor y in sorted(x): pass"),
    (find_set_order, "def f(x: frozenset[int]):\n    return [*x]", "def f(x: tuple[int]):\n    return [*x]"),
    (find_set_order, "self.x: set[int] = set()\nfor y in self.x - z: pass", "for y in a - z: pass"),
    (find_missing_imports, "from chain.gone import f", "from chain.block import Header"),
    (find_missing_imports, "from chain.block import Gone", "from chain import block"),
    (find_untold_tests, "def test_x(): pass", "def test_x():\n    'It holds.'"),
]


@pytest.mark.parametrize(("rule", "bad", "good"), PLANTED)
def test_rule_sees_what_breaks_it_and_nothing_else(rule: Rule, bad: str, good: str) -> None:
    """Each rule finds its planted fault and lets the mended code pass."""
    assert list(rule(Source("chain/planted.py", bad, ast.parse(bad))))
    assert not list(rule(Source("chain/planted.py", good, ast.parse(good))))


def test_every_rule_was_planted() -> None:
    """No rule is in use that was never seen to find something."""
    assert {rule for rule, _, _ in PLANTED} == {*EVERYWHERE, *IN_PACKAGES, *IN_PURE, *IN_TESTS}


def find_places(rules: Iterable[Rule], folders: Iterable[str]) -> list[str]:
    return [
        f"{source.name}:{line}: {what}"
        for source in find_sources(*folders)
        for rule in rules
        for line, what in rule(source)
    ]


def test_files_and_functions_are_short_and_begin_with_a_docstring() -> None:
    """A reader can stop after the docstring, and holds a function in the eye."""
    assert find_places(EVERYWHERE, (*PACKAGES, "tests", "bench")) == []


def test_packages_are_finished_and_catch_what_they_expect() -> None:
    """Nothing is left for later, no failure is swallowed, nothing but cli/terminal/output.py prints."""
    assert find_places(IN_PACKAGES, PACKAGES) == []


def test_pure_code_is_deterministic_by_its_looks() -> None:
    """The state machine and the consensus core see no clock, chance, float, address or order of a set."""
    assert find_places(IN_PURE, PURE) == []


def test_every_test_says_what_must_hold() -> None:
    """A failing test can be judged by its sentence, and imports only what exists."""
    assert find_places(IN_TESTS, ("tests",)) == []


def test_documents_are_plain() -> None:
    """What holds for docstrings holds for documents."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    found = {page.relative_to(ROOT).as_posix(): find_phrase(page.read_text()) for page in pages}
    assert {page: phrase for page, phrase in found.items() if phrase} == {"docs/STYLE.md": "shall"}


def test_folders_are_small() -> None:
    """A folder is taken in at a glance: at most FOLDER_FILES_MAX files of Python."""
    folders = Counter(path.parent for source in (*OURS, "examples") for path in (ROOT / source).rglob("*.py"))
    large = {path.relative_to(ROOT).as_posix(): count for path, count in folders.items()}
    assert {name: count for name, count in large.items() if count > FOLDER_FILES_MAX} == {}


def test_module_and_storage_numbers_are_unique() -> None:
    """Numbers of chain modules and of their storage items are protocol: none is used twice."""
    modules: list[int] = []
    items: dict[str, list[int]] = defaultdict(list)
    for source in find_sources("chain/modules"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and name_of(node.func) == "Module":
                modules += [keyword.value.value for keyword in node.keywords if keyword.arg == "index"]
            elif isinstance(node, ast.Call) and name_of(node.func) in {"StorageMap", "StorageValue"}:
                items[source.name.split("/")[2]].append(node.args[1].value)
    assert modules and items
    assert repeated(modules) == []
    assert {name: repeated(numbers) for name, numbers in items.items() if repeated(numbers)} == {}


NAMED_ALIKE = {
    "Parameters": "each module of the chain has its own, under the module's name",
    "GenesisConfig": "likewise",
    "Record": "twice in chain/primitives/codec.py: for the type checker and at run time",
    "OtherNetwork": "the chain's refusal and the node's error; both names are error codes, which are fixed",
    "NotHeld": "refusals of two modules; their names are error codes, which are fixed",
    "NotMember": "likewise",
}
MIRROR = "node/api/schemas.py"
"""The answers of the API are named after what they show."""


def test_a_class_name_means_one_thing() -> None:
    """In the product no two public classes have one name, but for those that are listed with a reason."""
    places: dict[str, list[str]] = defaultdict(list)
    for source in find_sources(*PACKAGES):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and source.name != MIRROR:
                places[node.name].append(f"{source.name}:{node.lineno}")
    alike = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in alike.items() if name not in NAMED_ALIKE} == {}
    assert set(NAMED_ALIKE) == set(alike)


def repeated(numbers: list[int]) -> list[int]:
    return [number for number, count in Counter(numbers).items() if count > 1]
