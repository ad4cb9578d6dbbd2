"""Technology nodes as data files: the shipped one, and one of a user's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cost_networks import RELU, SIX, SIXTEEN, dense

import torchq.cost.processes as shipped
from torchq.cost import PROCESSES, Energy, estimate
from torchq.cost.processes import process_named, read_process
from torchq.errors import CostError

FOLDER = Path(shipped.__file__).parent
OWN = """
name = "node7"
source = "made for this test: additions at a tenth, multiplications at a hundredth of 45 nm"
fixed_add = [0.0003125, 0.0]
fixed_mul = [2.994791667e-5, 1.041666667e-5, 0.0]
float_add = { 16 = 0.04, 32 = 0.09 }
float_mul = { 16 = 0.11, 32 = 0.37 }
word_bits = 32
sram_word = [1.5]
dram = [2, 0.0]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "node7.toml"
    path.write_text(OWN)
    return path


def test_a_process_of_ones_own_is_one_file(own: Path) -> None:
    work = dense(SIX, RELU)
    report = estimate([work], process=str(own))
    one = 2.994791667e-5 * 36 + 1.041666667e-5 * 6 + 0.0003125 * (6 + 6 + 4)
    assert report.total["energy_pj_op_cost"] == pytest.approx(64 * one)
    assert report.total["energy_pj_parameters"] == 64 * 6 / 32 * 1.5
    assert report.total["energy_pj_inputs"] == 16 * 6 / 32 * 1.5
    assert report.settings["energy_pj"]["process"] == str(own)
    off_chip = estimate([work], process=str(own), weights_on_memory="dram")
    assert off_chip.total["energy_pj_parameters"] == 64 * 6 * 2


def test_or_is_registered_under_a_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESSES, "_things", dict(PROCESSES.items()))
    PROCESSES.add("node7", read_process(own))
    work = dense(SIX, RELU)
    assert Energy(process="node7").price([work]) == Energy(process=str(own)).price([work])


def test_every_file_in_the_folder_is_registered_under_its_name() -> None:
    names = [path.stem for path in FOLDER.glob("*.toml")]
    assert names
    assert sorted(names) == list(PROCESSES)
    assert all(PROCESSES.get(name).name == name for name in names)


def test_a_copy_of_the_shipped_file_prices_the_same(tmp_path: Path) -> None:
    copy = shutil.copy(FOLDER / "horowitz.toml", tmp_path / "mine.toml")
    for work in (dense(SIX, SIXTEEN, SIX), dense(None, None)):
        assert Energy(process=str(copy)).price([work]) == Energy().price([work])


def test_a_changed_file_is_read_again(own: Path) -> None:
    assert read_process(own).word_bits == 32
    own.write_text(OWN.replace("word_bits = 32", "word_bits = 128"))
    assert process_named(str(own)).word_bits == 128


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "node7"\n', "", "name missing; a process has name, source, fixed_add, "),
        ("word_bits", "wordbits", "unknown key 'wordbits'; did you mean 'word_bits'?"),
        ("word_bits = 32", "word_bits = 0", "word_bits must be a whole number of at least 1, got 0"),
        ("word_bits = 32", "word_bits = true", "word_bits must be a whole number of at least 1, got True"),
        (
            "sram_word = [1.5]",
            "sram_word = 1.5",
            "sram_word must be a list of numbers, the highest power first, got 1.5",
        ),
        ("[2, 0.0]", "[inf]", "dram must be a list of numbers, the highest power first, got [inf]"),
        (
            "{ 16 = 0.04, 32 = 0.09 }",
            "{ half = 0.04 }",
            "float_add must give an energy by width, as in { 16 = 0.4 }, got {'half': 0.04}",
        ),
        ('name = "node7"', "name = 7", "name must be a text, got 7"),
        ("name =", "name", "cannot be read as TOML ("),
    ],
)
def test_faults_of_a_file_are_sentences(own: Path, old: str, new: str, message: str) -> None:
    own.write_text(OWN.replace(old, new))
    with pytest.raises(CostError) as fault:
        estimate([dense(SIX, RELU)], process=str(own))
    assert str(fault.value).startswith(f"{own}: {message}")
    assert "\n" not in str(fault.value)


def test_a_missing_or_odd_file_is_a_sentence(tmp_path: Path) -> None:
    missing = tmp_path / "no.toml"
    with pytest.raises(CostError) as fault:
        Energy(process=str(missing))
    assert str(fault.value) == (
        f"{missing}: the process file cannot be read (No such file or directory); "
        "give the path of a .toml file, or the name of a process"
    )
    binary = tmp_path / "bytes.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CostError, match="cannot be read as TOML"):
        Energy(process=str(binary))
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    with pytest.raises(CostError, match="cannot be read"):
        Energy(process=str(folder))
