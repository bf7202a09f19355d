"""What documents name exists: pages, files, modules. Every page is in the index, every decision has a number,
every word one row.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(?:#[^)]*)?\)")
PACKAGES = "chain|consensus|storage|p2p|node|cli|bench|tests"
PATH = re.compile(rf"(?<![\w/.-])(?:{PACKAGES}|genesis|docs|examples|\.ci)/[\w./-]*[\w/]")
MODULE = re.compile(rf"(?<![\w/.-])(?:{PACKAGES})(?:\.[a-z_]\w*)(?:\.\w+)*")
PRODUCT = ("chain", "consensus", "storage", "p2p", "node", "cli")
DEFINED = re.compile(r"^(?:class |def )?(\w+)(?=\(|:| = )", re.MULTILINE)
NO_MODULES = frozenset(("chain.json", "node.lock"))
"""Names of files at run time that look like modules."""
PLACEHOLDER = re.compile(r"NAME")


def find_missing_paths(text: str) -> Iterator[str]:
    """Files and folders of the repository that the text names and that do not exist."""
    for name in PATH.findall(text):
        if not PLACEHOLDER.search(name) and not (ROOT / name).exists():
            yield name


def find_missing_modules(text: str) -> Iterator[str]:
    """Modules, and names in modules, that the text names and that do not exist."""
    for name in MODULE.findall(text):
        if name not in NO_MODULES and not name.endswith((".md", ".py", ".toml")) and not is_defined(name):
            yield name


def is_defined(dotted: str) -> bool:
    """Whether it is a module, or a name that the text of a module defines."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:count])
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if base.is_dir() and count == len(parts):
            return True
        if file.exists():
            return all(re.search(rf"\b{name}\b", file.read_text()) for name in parts[count:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_exists(page: Path) -> None:
    """Links lead to files; files, folders and modules that the page names are there."""
    text = page.read_text()
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []
    assert [*find_missing_paths(text), *find_missing_modules(text)] == []


def test_what_is_gone_is_seen() -> None:
    """A file, a module and a name in a module that do not exist are found; those that exist pass."""
    assert list(find_missing_paths("see `node/gone.py`, chain/block.py and docs/spec/")) == ["node/gone.py"]
    text = "`node.gone`, `chain.block`, chain.block.Header, `chain.block.Gone`, node.ledger"
    assert list(find_missing_modules(text)) == ["node.gone", "chain.block.Gone"]
    assert LINK.findall("[a](b.md#c) [d](https://e.example) [f](g/h.py)") == ["b.md", "g/h.py"]


def test_every_page_is_in_the_index() -> None:
    """docs/README.md links each page under docs/ once."""
    links = Counter(LINK.findall((ROOT / "docs" / "README.md").read_text()))
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(links.elements()) == sorted(page for page in pages if page != "README.md")


def test_decisions_are_numbered_without_gaps() -> None:
    """000 is the template; file name, title and index agree."""
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [record.name[:3] for record in records] == [f"{number:03}" for number in range(len(records))]
    index = (ROOT / "docs" / "README.md").read_text()
    for record in records[1:]:
        number, title = record.read_text().splitlines()[0].removeprefix("# ").split(": ", 1)
        assert number == record.name[:3]
        assert f"| [{number}](adr/{record.name}) | {title} |" in index


def list_rows() -> list[tuple[str, str]]:
    """(word, name in code) of each row of the glossary; a row may explain two words together."""
    text = (ROOT / "docs" / "GLOSSARY.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|(?: `([\w.]+)`)? \|$", text, re.MULTILINE)
    assert len(rows) == text.count("\n| ") - text.count("\n| word |")
    return [(word, name) for words, name in rows for word in words.split(", ") if words != "word"]


def test_a_word_has_one_row() -> None:
    """The glossary explains each word once."""
    words = Counter(word for word, _ in list_rows())
    assert len(words) > 100
    assert [word for word, count in words.items() if count > 1] == []


def test_words_have_the_name_that_the_glossary_gives() -> None:
    """A name in code is a class, a type or a constant of the product, or one of its members."""
    sources = [path.read_text() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py")]
    defined = {name for text in sources for name in DEFINED.findall(text)}
    members = set(re.findall(r"(?:^ +(?:async )?def |\bself\.|^    )(\w+)", "\n".join(sources), re.MULTILINE))
    names = [name.partition(".") for _, name in list_rows() if name]
    assert [name for name in names if name[0] not in defined or (name[2] and name[2] not in members)] == []


def test_diagrams_can_be_drawn() -> None:
    """Mermaid reads a semicolon as the end of a statement and `end` as the end of a block; every name that a
    message goes to or comes from is declared.
    """
    diagrams = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "diagrams.md").read_text(), re.DOTALL)
    assert [diagram.split()[0] for diagram in diagrams] == [*["sequenceDiagram"] * 3, "flowchart"]
    for diagram in diagrams[:3]:
        declared = set(re.findall(r"participant (\w+) as", diagram))
        messages = re.findall(r"(\w+)--?>>(\w+): (.*)", diagram)
        assert {name for sender, receiver, _ in messages for name in (sender, receiver)} == declared
        assert ";" not in diagram
        assert [text for _, _, text in messages if re.search(r"\bend\b", text)] == []
