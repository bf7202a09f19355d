"""The folder that a datum is written to, looked at beforehand."""

import shutil
from pathlib import Path

import pytest

from chain.content import compute_datum_id
from cli.content.targets import TargetRefused, check_space, check_target, is_complete_at
from storage.content.tree import build_datum


def make_source(path: Path) -> Path:
    (path / "b").mkdir(parents=True)
    (path / "a.txt").write_bytes(b"a" * 1000)
    (path / "b" / "c.txt").write_bytes(b"c")
    return path


def test_a_folder_is_complete_if_it_is_the_datum(tmp_path: Path) -> None:
    """Not if a byte is changed, a file is missing, or one more is there."""
    source = make_source(tmp_path / "source")
    manifest = build_datum(source).manifest
    entry = {"id": compute_datum_id(manifest).hex(), "datum": {"size_bytes": manifest.length}}
    assert is_complete_at(source, entry)
    for number, change in enumerate((b"x" + b"a" * 999, None, b"a" * 1001)):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(source, copy)
        if change is None:
            (copy / "a.txt").unlink()
        else:
            (copy / "a.txt").write_bytes(change)
        assert not is_complete_at(copy, entry)
    assert not is_complete_at(tmp_path / "none", entry)


def test_with_a_manifest_only_what_is_in_the_way_is_refused(tmp_path: Path) -> None:
    """Files of the datum, and others beside them, may be there; another thing under a name of it may not."""
    manifest = build_datum(make_source(tmp_path / "source")).manifest
    target = tmp_path / "target"
    check_target(target, manifest)
    make_source(target)
    (target / "other").write_text("other")
    check_target(target, manifest)
    (target / "a.txt").write_bytes(b"short")
    with pytest.raises(TargetRefused, match=r"a\.txt is in the way"):
        check_target(target, manifest)
    with pytest.raises(TargetRefused, match="other files"):
        check_target(target, None)


def test_disks_must_have_room_for_all_that_goes_to_them(tmp_path: Path) -> None:
    """Places on one disk are added up; what is missing is named before anything is bought."""
    free = shutil.disk_usage(tmp_path).free
    check_space({tmp_path / "a": free // 4, tmp_path / "b": free // 4})
    with pytest.raises(TargetRefused, match="nothing was bought") as caught:
        check_space({tmp_path / "a": free // 2 + 2**28, tmp_path / "b": free // 2 + 2**28})
    assert caught.value.code == "no_space"
