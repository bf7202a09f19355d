"""The import contracts of pyproject.toml hold for this tree, and break for one with a fault of each kind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"
PACKAGES = (
    *("chain", "chain/modules", "consensus", "storage", "p2p", "cli"),
    *("node", "node/api", "node/content", "node/replica"),
)
FAULTS = [
    ("chain", "time"),
    ("chain", "consensus"),
    ("consensus", "trio"),
    ("consensus", "random"),
    ("consensus", "storage"),
    ("storage", "p2p"),
    ("p2p", "storage"),
    ("p2p", "plyvel"),
    ("storage", "node"),
    ("node", "libp2p"),
    ("node", "cli"),
    ("node/replica", "trio"),
    ("node/replica", "random"),
    ("cli", "plyvel"),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def write_tree(folder: Path, faults: list[tuple[str, str]]) -> None:
    """The packages that the contracts name; each fault is one module with one import."""
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    for importer, imported in faults:
        (folder / importer / f"takes_{imported}.py").write_text(f"import {imported}\n")


@pytest.fixture
def tree(tmp_path: Path, repository: Path) -> Path:
    """A folder for a tree of packages, with the project's own settings."""
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def test_contracts_hold(repository: Path) -> None:
    """Layers point downwards, pure code is pure, libp2p and plyvel each have one importer."""
    result = lint_imports(repository)
    assert result.returncode == 0, result.stdout


def test_a_tree_without_faults_passes(tree: Path) -> None:
    """The trial tree by itself breaks nothing, so that what the next test sees are its faults."""
    write_tree(tree, [])
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout


def test_each_fault_is_seen(tree: Path) -> None:
    """Every forbidden import of the trial tree is named by a contract."""
    write_tree(tree, FAULTS)
    result = lint_imports(tree)
    assert result.returncode == 1, result.stderr
    lines = {fault: f"{fault[0].replace('/', '.')}.takes_{fault[1]} -> {fault[1]}" for fault in FAULTS}
    missed = [fault for fault, line in lines.items() if line not in result.stdout]
    assert missed == []


def test_a_circle_of_packages_is_seen(tree: Path) -> None:
    """Two packages that import each other are named."""
    write_tree(tree, [])
    (tree / "node" / "api" / "reads.py").write_text("import node.content.orders\n")
    (tree / "node" / "content" / "orders.py").write_text("import node.api.reads\n")
    result = lint_imports(tree)
    assert result.returncode == 1, result.stderr
    assert "No package imports in a circle BROKEN" in result.stdout
