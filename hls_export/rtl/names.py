"""The user's layer names as Verilog names, one to one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEYWORDS = frozenset(
    """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default
    defparam design disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive
    endspecify endtable endtask event for force forever fork function generate genvar highz0 highz1 if ifnone
    incdir include initial inout input instance integer join large liblist library localparam macromodule
    medium module nand negedge nmos nor noshowcancelled not notif0 notif1 or output parameter pmos posedge
    primitive pull0 pull1 pulldown pullup pulsestyle_onevent pulsestyle_ondetect rcmos real realtime reg
    release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small specify specparam
    strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0 tri1 triand trior trireg
    unsigned use vectored wait wand weak0 weak1 while wire wor xnor xor
    bit byte char do int interface logic program package class checker
    """.split()  # noqa: SIM905 - a list literal would be four times as long
)
_LIBRARY = frozenset({"shift_adder", "ternary_adder", "negative", "mux", "multiplier", "binop", "testbench"})
"""Modules that stand beside ours."""

_GENERATED = re.compile(r"\w*(_stage\d+|_tables)")


def is_module_name(name: str) -> bool:
    """Whether a module at the top can be called so.

    Example:
        >>> is_module_name("mlp"), is_module_name("wire"), is_module_name("a b"), is_module_name("mux")
        (True, False, False, False)
    """
    return (
        re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None
        and name not in _KEYWORDS
        and name not in _LIBRARY
    )


def verilog_names(names: Iterable[str]) -> dict[str, str]:
    """A Verilog name for each name, the same one wherever it is possible.

    They are parts of longer names (``<top>_<name>``, ``<name>_out``), so keywords do no harm.

    Args:
        names: layer names in order.

    Example:
        >>> list(verilog_names(["fc1", "block.fc1", "/dense/MatMul", "1", "wire", "block_fc1"]).values())
        ['fc1', 'block_fc1', 'dense_MatMul', 'layer_1', 'wire', 'block_fc1_']
    """
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in names:
        word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "layer"
        word = f"layer_{word}" if word[0].isdigit() else word
        while word in taken or _GENERATED.fullmatch(word):
            word += "_"
        taken.add(word)
        found[name] = word
    return found
