import pytest

from lightning_gans.mechanics.files import atomic_write, cache_folder


def test_a_file_appears_once_it_is_written(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"


def test_an_error_leaves_the_file_before_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="power cut"), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError("power cut")
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    monkeypatch.setattr("lightning_gans.mechanics.files.os.fsync", lambda _: synced.append(path.exists()))
    with atomic_write(path) as file:
        file.write(b"whole")
    assert synced == [False]


def test_the_rest_of_a_killed_write_is_written_over(tmp_path):
    (tmp_path / "file.part").write_bytes(b"much longer than what comes")
    with atomic_write(tmp_path / "file") as file:
        file.write(b"short")
    assert (tmp_path / "file").read_bytes() == b"short" and not (tmp_path / "file.part").exists()


def test_the_default_cache_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("default") == tmp_path / "lightning-gans"
    assert cache_folder(str(tmp_path / "other")) == tmp_path / "other" and cache_folder(None) is None
