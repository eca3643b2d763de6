"""Which directory is the home."""

from pathlib import Path

from reactor.home import find_home


def test_the_nearest_one_upwards_wins(tmp_path: Path) -> None:
    below = tmp_path / "project" / "src" / "deep"
    below.mkdir(parents=True)
    (tmp_path / ".voxyz").mkdir()
    (tmp_path / "project" / ".voxyz").mkdir()
    assert find_home(below, {}) == tmp_path / "project" / ".voxyz"


def test_a_file_of_that_name_is_no_home(tmp_path: Path) -> None:
    below = tmp_path / "project"
    below.mkdir()
    (tmp_path / ".voxyz").mkdir()
    (below / ".voxyz").touch()
    assert find_home(below, {}) == tmp_path / ".voxyz"


def test_without_one_it_is_here(tmp_path: Path) -> None:
    assert find_home(tmp_path, {}) == tmp_path / ".voxyz"
    assert not (tmp_path / ".voxyz").exists()


def test_the_variable_wins_and_may_be_relative_and_an_empty_one_is_unset(tmp_path: Path) -> None:
    (tmp_path / ".voxyz").mkdir()
    assert find_home(tmp_path, {"VOXYZ_HOME": "/srv/data"}) == Path("/srv/data")
    assert find_home(tmp_path, {"VOXYZ_HOME": "data"}) == tmp_path / "data"
    assert find_home(tmp_path, {"VOXYZ_HOME": ""}) == tmp_path / ".voxyz"
