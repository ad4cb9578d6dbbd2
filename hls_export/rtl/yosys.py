"""yosys: Verilog in, the primitives of a Xilinx FPGA out. Open, so its figures can be made again by anyone.

What it counts are primitives after ``synth_xilinx``, before placement: no vendor tool was run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torchq.errors import BackendError

FAMILY = "xcup"
"""UltraScale+, as yosys calls it."""

_HINT = "make rtl-tools, or install yosys (Debian: apt install yosys)"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1")
_LUT_MEMORIES = {
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
}
"""How many LUTs each primitive takes that uses LUTs as memory (UG974)."""


@dataclass(frozen=True)
class Resources:
    """What a design takes of an FPGA.

    Args:
        lut: LUT primitives, ``LUT1`` to ``LUT6``. A placer packs some pairs into one site.
        lut_memory: LUTs used as shift registers or as memory; not part of ``lut``.
        inverters: ``INV`` primitives; a vendor's tool merges them into their neighbours; not part of ``lut``.
        carry: carry chains in units of ``CARRY4``; a ``CARRY8`` counts two.
        ff: flip-flops.
        dsp: ``DSP48E1`` or ``DSP48E2`` slices.
        bram18: block memories of 18 kbit; a ``RAMB36`` counts two.
        uram: ``URAM288`` blocks.
        tool: who counted, such as ``"yosys"``.
        version: of the tool.
        options: the command that was run.
        cells: every primitive and how often it stands in the design.
        depth: LUTs and carries on the longest way from register to register; 0 where it was not asked for.

    Example:
        >>> Resources.of_cells({"LUT6": 3, "LUT2": 4, "CARRY8": 2, "FDRE": 10}, "yosys", "0.23").lut
        7
    """

    lut: int
    lut_memory: int
    inverters: int
    carry: int
    ff: int
    dsp: int
    bram18: int
    uram: int
    tool: str
    version: str
    options: str = ""
    cells: Mapping[str, int] = field(default_factory=dict)
    depth: int = 0

    @classmethod
    def of_cells(cls, cells: Mapping[str, int], tool: str, version: str, options: str = "") -> Resources:
        """Sort primitives into resources; buffers and constants take nothing that is counted."""

        def count(*names: str) -> int:
            return sum(cells.get(name, 0) for name in names)

        return cls(
            lut=count(*(f"LUT{i}" for i in range(1, 7))),
            lut_memory=sum(luts * cells.get(name, 0) for name, luts in _LUT_MEMORIES.items()),
            inverters=count("INV"),
            carry=count("CARRY4") + 2 * count("CARRY8"),
            ff=count(*_FLIP_FLOPS),
            dsp=count("DSP48E1", "DSP48E2"),
            bram18=count("RAMB18E1", "RAMB18E2") + 2 * count("RAMB36E1", "RAMB36E2"),
            uram=count("URAM288"),
            tool=tool,
            version=version,
            options=options,
            cells=dict(cells),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


_ADDERS = """
(* techmap_celltype = "$add $sub" *)
module one_chain (A, B, Y);
  parameter _TECHMAP_CELLTYPE_ = "";
  parameter A_SIGNED = 0; parameter B_SIGNED = 0;
  parameter A_WIDTH = 1; parameter B_WIDTH = 1; parameter Y_WIDTH = 1;
  localparam SUB = _TECHMAP_CELLTYPE_ == "$sub";
  input [A_WIDTH-1:0] A; input [B_WIDTH-1:0] B; output [Y_WIDTH-1:0] Y;
  wire [Y_WIDTH-1:0] X, CO;
  \\$alu #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
          .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH))
    _TECHMAP_REPLACE_ (.A(A), .B(B), .BI(SUB), .CI(SUB), .Y(Y), .X(X), .CO(CO));
endmodule
"""
"""Every addition becomes a carry chain before yosys can merge neighbours into carry-save trees of LUTs."""


def version() -> str:
    """The version of the yosys on the PATH, such as ``"0.23"``.

    Raises:
        BackendError: there is none.
    """
    done = subprocess.run(  # noqa: S603 - a list, no shell
        [_program(), "-V"], capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"Yosys\s+(\S+)", done.stdout)
    if found is None:
        raise BackendError("yosys -V names no version", hint=_HINT)
    return found[1]


def command_of(top: str, *, family: str = FAMILY, dsp: bool = True) -> str:
    """The synthesis command. ``-abc9`` always: without it the LUTs of wide logic come out 60 % too many.

    Args:
        top: the module at the top.
        family: of the FPGA, in yosys's words.
        dsp: whether multiplications may become DSP slices.

    Raises:
        BackendError: a name that Verilog does not allow.

    Example:
        >>> command_of("mlp", dsp=False)
        'synth_xilinx -family xcup -flatten -abc9 -noiopad -nodsp -top mlp'
    """
    for name in (top, family):
        if not _NAME.fullmatch(name):
            raise BackendError(f"{name!r} is no name that yosys takes", hint="use letters, digits and _")
    return f"synth_xilinx -family {family} -flatten -abc9 -noiopad {'' if dsp else '-nodsp '}-top {top}"


def synthesise(
    files: Sequence[str | Path],
    top: str,
    *,
    family: str = FAMILY,
    dsp: bool = True,
    one_chain_each: bool = False,
    timeout_s: float = 3600,
) -> Resources:
    """Synthesise a design out of context and count its primitives.

    Args:
        files: all Verilog files of the design.
        top: the module at the top.
        family: of the FPGA, in yosys's words.
        dsp: whether multiplications may become DSP slices.
        one_chain_each: whether every adder stays an adder on a carry chain. yosys else merges neighbouring
            adders into carry-save trees of LUTs, which takes a quarter more LUTs in trees of plain adders.
        timeout_s: when to give up, in seconds.

    Raises:
        BackendError: yosys is missing, a file is missing, yosys fails, or does not finish in time.
    """
    script = command_of(top, family=family, dsp=dsp)
    sources = [Path(file).resolve() for file in files]
    for source in sources:
        if not source.is_file():
            raise BackendError(f"{source}: there is no such Verilog file", hint="write the design first")
    with tempfile.TemporaryDirectory(prefix="yosys-") as folder:
        before = ""
        if one_chain_each:
            (Path(folder) / "adders.v").write_text(_ADDERS, encoding="utf-8")
            before = (
                f"hierarchy -check -top {top}; proc; flatten; opt_expr; opt_clean; opt; wreduce; opt_clean; "
                "techmap -map adders.v; opt_clean; "
            )
        # Flip-flops are left out, so that ways end where they do; yosys knows only its own ones as such.
        commands = f"{before}{script}; tee -q -o stat.json stat -json; tee -q -o path.txt ltp -noff t:FD* %n"
        words = [_program(), "-q", "-p", commands, *map(str, sources)]
        _run(words, Path(folder), top, timeout_s)
        text, path = ((Path(folder) / n).read_text(encoding="utf-8") for n in ("stat.json", "path.txt"))
    options = f"{script} (one chain each)" if one_chain_each else script
    return replace(parse(text, version=version(), options=options), depth=parse_depth(path))


def parse(text: str, *, version: str = "", options: str = "") -> Resources:
    """Read what ``stat -json`` wrote.

    Args:
        text: of the file.
        version: of yosys; where it is empty, what the file says.
        options: the command that was run.

    Raises:
        BackendError: the text is no such file.

    Example:
        >>> parse('{"creator": "Yosys 0.23", "design": {"num_cells_by_type": {"LUT6": 2, "FDRE": 1}}}').lut
        2
    """
    try:
        read = json.loads(text)
        design = read["design"] if "design" in read else _only(read["modules"])
        # A newer yosys says {"count": ..., "area": ...} where the cells have an area.
        cells = {
            str(name): int(n["count"] if isinstance(n, dict) else n)
            for name, n in design["num_cells_by_type"].items()
        }
        creator = str(read.get("creator", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BackendError(
            f"this is no statistics file of yosys ({type(fault).__name__}: {fault})",
            hint="run 'stat -json' after synth_xilinx",
        ) from None
    unknown = [name for name in cells if name.startswith("$")]
    if unknown:
        raise BackendError(
            f"the design has cells that are no FPGA primitives: {', '.join(sorted(unknown)[:3])}",
            hint="run synth_xilinx before stat",
        )
    found = re.search(r"Yosys\s+(\S+)", creator)
    return Resources.of_cells(cells, "yosys", version or (found[1] if found else ""), options)


def parse_depth(text: str) -> int:
    """The length of the longest way in what ``ltp`` printed; 0 where there is none.

    Example:
        >>> parse_depth("Longest topological path in net (length=13):")
        13
    """
    found = re.search(r"\(length=(\d+)\)", text)
    return int(found[1]) if found else 0


def _only(modules: Mapping[str, Any]) -> Any:
    (module,) = modules.values()
    return module


def _program() -> str:
    program = shutil.which("yosys")
    if program is None:
        raise BackendError("yosys is not on the PATH", hint=_HINT)
    return program


def _run(words: Sequence[str], folder: Path, top: str, timeout_s: float) -> None:
    # A session of its own: yosys starts abc, and both must end when the time is up.
    process = subprocess.Popen(  # noqa: S603 - a list, no shell
        words,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except BaseException as fault:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(fault, subprocess.TimeoutExpired):
            raise BackendError(
                f"{top}: yosys did not finish in {timeout_s:g} s", hint="allow it more time"
            ) from None
        raise
    if process.returncode != 0:
        raise BackendError(f"{top}: yosys failed: {first_error(err + out)}")


def first_error(text: str) -> str:
    r"""What yosys said first of what went wrong, on one line.

    Example:
        >>> first_error("Warning: x\na.v:3: ERROR: syntax error, unexpected ';'\n")
        "a.v:3: ERROR: syntax error, unexpected ';'"
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no message")
