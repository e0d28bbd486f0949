"""An output has its final name only if it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from scproto._errors import InputError
from scproto._files import atomic_folder, atomic_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_run(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "run.json").write_text(content)
    return path


def test_file_appears_only_at_the_end(tmp_path):
    with atomic_path(tmp_path / "scores.json") as path:
        path.write_text("{}")
        assert path.suffix == ".json"
        assert not (tmp_path / "scores.json").exists()
    assert names(tmp_path) == ["scores.json"]
    assert (tmp_path / "scores.json").read_text() == "{}"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_keeps_the_old_file(tmp_path, error):
    (tmp_path / "a.txt").write_text("old")

    def write():
        with atomic_path(tmp_path / "a.txt") as path:
            path.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("where", ["missing/a.txt", "file/a.txt", "."])
def test_file_that_cannot_be_written_is_bad_input(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError), atomic_path(tmp_path / where):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]


def test_folder_appears_only_at_the_end(tmp_path):
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["a"]


def test_missing_parents_are_made_at_the_end(tmp_path):
    with atomic_folder(tmp_path / "a" / "b" / "run"):
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "b" / "run").is_dir()
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failed_write_leaves_no_new_folder(tmp_path, error, overwrite):
    if overwrite:
        make_run(tmp_path / "run", "old")
    before = names(tmp_path)

    def write():
        with atomic_folder(tmp_path / "run", overwrite, marker="run.json") as folder:
            (folder / "run.json").write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert names(tmp_path) == before
    assert not overwrite or (tmp_path / "run" / "run.json").read_text() == "old"


def test_existing_folder_is_kept(tmp_path):
    make_run(tmp_path / "run", "old")
    with pytest.raises(InputError, match="exists already"), atomic_folder(tmp_path / "run"):
        pytest.fail("the block must not run")
    assert (tmp_path / "run" / "run.json").read_text() == "old"


def test_overwrite_replaces_files_of_the_old_run(tmp_path):
    make_run(tmp_path / "run", "old")
    (tmp_path / "run" / "stale").write_text("")
    written = {"run.json", "stale"}
    with atomic_folder(tmp_path / "run", True, marker="run.json", written=lambda folder: written) as folder:
        (folder / "run.json").write_text("new")
        assert (tmp_path / "run" / "run.json").read_text() == "old"
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["run.json"]
    assert (tmp_path / "run" / "run.json").read_text() == "new"


def test_overwrite_keeps_other_files(tmp_path):
    make_run(tmp_path / "run", "old")
    (tmp_path / "run" / "figures").mkdir()
    for name in ("notes", "figures/mine.png", "figures/theirs.png", "both"):
        (tmp_path / "run" / name).write_text("mine")
    written = {"run.json", "figures/theirs.png"}
    with atomic_folder(tmp_path / "run", True, marker="run.json", written=lambda folder: written) as folder:
        (folder / "run.json").write_text("new")
        (folder / "both").write_text("new")
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["both", "both-2", "figures", "notes", "run.json"]
    assert names(tmp_path / "run" / "figures") == ["mine.png"]
    assert (tmp_path / "run" / "both-2").read_text() == "mine"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_complete_parts_are_kept_and_reported(tmp_path, error):
    def write():
        with atomic_folder(tmp_path / "run", keep=True) as folder:
            (folder / "model").mkdir()
            (folder / ".half.tmp").write_text("")
            raise error

    for name in ("run.incomplete", "run.incomplete-2"):
        with pytest.raises(error) as caught:
            write()
        assert caught.value.__notes__ == [f"The complete parts are kept in {tmp_path / name}: model."]
    assert names(tmp_path) == ["run.incomplete", "run.incomplete-2"]


def test_nothing_is_kept_if_nothing_is_complete(tmp_path):
    def write():
        with atomic_folder(tmp_path / "run", keep=True) as folder:
            (folder / ".half.tmp").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        write()
    assert not hasattr(caught.value, "__notes__")
    assert not names(tmp_path)


def test_overwrite_refuses_a_folder_without_the_marker(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    with (
        pytest.raises(InputError, match=r"holds no run\.json"),
        atomic_folder(tmp_path / "thesis", True, marker="run.json"),
    ):
        pytest.fail("the block must not run")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "precious"


def test_overwrite_replaces_an_empty_folder(tmp_path):
    (tmp_path / "run").mkdir()
    with atomic_folder(tmp_path / "run", True, marker="run.json") as folder:
        (folder / "a").write_text("a")
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["a"]


@pytest.mark.parametrize("where", ["file", "file/run", "file/deep/run"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_that_cannot_be_written_is_bad_input(tmp_path, where, overwrite):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(InputError), atomic_folder(tmp_path / where, overwrite):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_complete_folder_survives_if_its_name_is_taken_meanwhile(tmp_path):
    def write():
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "result").write_text("a long computation")
            make_run(tmp_path / "run", "another process")

    with pytest.raises(InputError) as caught:
        write()
    kept = tmp_path / "run-2"
    assert (kept / "result").read_text() == "a long computation"
    assert f"it is in {kept}" in str(caught.value)
    assert (tmp_path / "run" / "run.json").read_text() == "another process"


def test_overwrite_restores_the_old_run_when_the_move_fails(tmp_path):
    make_run(tmp_path / "run", "old")
    with pytest.raises(InputError), atomic_folder(tmp_path / "run", True, marker="run.json") as folder:
        folder.rmdir()  # so that there is nothing to move at the end
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "run.json").read_text() == "old"


def test_a_mount_point_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path / "run")
    with pytest.raises(InputError, match="choose a folder in it"), atomic_folder(tmp_path / "run", True):
        pytest.fail("the block must not run")


def test_files_that_cannot_be_moved_are_not_lost(tmp_path, monkeypatch):
    make_run(tmp_path / "run", "old")
    (tmp_path / "run" / "notes").write_text("mine")
    rename = Path.rename

    def fail(self, target):
        if self.name == "notes":
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)

    def write():
        with atomic_folder(tmp_path / "run", True, marker="run.json", written=lambda folder: {"run.json"}) as folder:
            (folder / "run.json").write_text("new")

    with pytest.raises(InputError, match="Permission denied") as caught:
        write()
    assert (tmp_path / "run" / "run.json").read_text() == "new"
    [kept] = [folder for folder in tmp_path.iterdir() if folder.name != "run"]
    assert (kept / "notes").read_text() == "mine"
    assert str(kept) in str(caught.value)
