"""The public set: fetched once, classes in our order, nothing half-written."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from arff_server import NAMES, ROWS, Answers, X

from torchq.data import load
from torchq.data.jets import CLASSES, read_jets
from torchq.data.openml import cache_folder
from torchq.data.source import Source
from torchq.errors import DataError

Running = tuple[str, Answers]


def source(address: str, cache: Path, **more: object) -> Source:
    return Source("openml", cache=cache, url=address, timeout_s=5.0, **more)  # type: ignore[arg-type]


def test_values_and_classes_by_name(openml: Running, tmp_path: Path) -> None:
    table = read_jets(source(openml[0], tmp_path))
    assert np.array_equal(table.x.astype(np.float32), X)
    assert np.array_equal(np.array(CLASSES)[table.y], NAMES)
    assert table.classes == ("g", "q", "w", "z", "t")
    assert table.source == "the public jet set hls4ml_lhc_jets_hlf (OpenML 42468)"


def test_the_second_time_nothing_is_asked(openml: Running, tmp_path: Path) -> None:
    address, answers = openml
    first = read_jets(source(address, tmp_path))
    assert answers.asked == ["/api/v1/json/data/42468", "/file.arff"]
    again = read_jets(source(address, tmp_path))
    assert len(answers.asked) == 2
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert [path.name for path in tmp_path.iterdir()] == ["openml_42468.npz"]


def test_progress_is_told(openml: Running, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    read_jets(source(openml[0], tmp_path, progress=lambda done, total: told.append((done, total))))
    size = len(openml[1].file)
    assert told[-1] == (size, size)


def test_load_takes_the_address(openml: Running, tmp_path: Path) -> None:
    data = load("jets", source="openml", cache=tmp_path, url=openml[0] + "/", fractions=(0.5, 0.25, 0.25))
    assert len(data.train) + len(data.valid) + len(data.test) == ROWS


def test_the_cache_folder_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHQ_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("TORCHQ_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "torchq"


def refused(address: str, cache: Path) -> str:
    with pytest.raises(DataError) as told:
        read_jets(source(address, cache))
    assert not list(cache.iterdir()), "something was left"
    assert str(told.value).endswith(
        "; it needs a network; without one use source 'embedded' (simulated jets), "
        "or 'file' with a copy of the set"
    )
    return told.value.message


def test_without_a_network(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert refused(address, tmp_path) == (
            f"OpenML data set 42468 is not in {tmp_path} and cannot be had: "
            f"{address}/api/v1/json/data/42468: cannot be fetched (Connection refused)"
        )


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError, match=r"cannot be fetched \(no answer in time\)"):
            read_jets(Source("openml", cache=tmp_path, url=address, timeout_s=0.2))


def test_a_page_that_is_not_there(openml: Running, tmp_path: Path) -> None:
    message = refused(openml[0] + "/elsewhere", tmp_path)
    assert message.endswith("cannot be fetched (the server answers 404 Not Found)")


def test_an_answer_that_is_no_description(openml: Running, tmp_path: Path) -> None:
    openml[1].description = b"<html>log in first</html>"
    assert refused(openml[0], tmp_path).endswith(
        "/api/v1/json/data/42468: the answer is no description of a data set"
    )


def test_a_file_that_was_changed(openml: Running, tmp_path: Path) -> None:
    openml[1].md5 = "0" * 32
    assert f"and needs {'0' * 32}" in refused(openml[0], tmp_path)


def test_a_connection_that_breaks(openml: Running, tmp_path: Path) -> None:
    openml[1].claimed_length = len(openml[1].file) + 100
    message = refused(openml[0], tmp_path)
    size = len(openml[1].file)
    assert (
        f"the connection broke after {size} of {size + 100} bytes" in message or "IncompleteRead" in message
    )


def test_an_address_of_another_sort(tmp_path: Path) -> None:
    assert "file:///etc/api/v1/json/data/42468: is no address to fetch from" in refused(
        "file:///etc", tmp_path
    )
