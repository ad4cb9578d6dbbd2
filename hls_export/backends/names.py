"""The user's layer names as C++ names, one to one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEYWORDS = frozenset(
    """
    alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char class compl concept
    const consteval constexpr constinit continue co_await co_return co_yield decltype default delete do
    double else enum explicit export extern false float for friend goto if import inline int long main
    module mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast requires return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename union unsigned using virtual
    void volatile wchar_t while xor xor_eq
    """.split()  # noqa: SIM905 - a list literal would be four times as long
)
_TYPES = frozenset(
    """
    accum bias bool caddr char8 char16 char32 clock clockid data daddr dev div double err exp_table fixed
    float float32 float64 fpos fsblkcnt fsfilcnt gid id index ino input int int16 int32 int64 int8 intmax
    intptr inv_table key ldiv lldiv loff max_align mbstate mode model_default nlink nnet nullptr off pid
    product ptrdiff quad register regex res result rlim sig_atomic sigset size socklen ssize std suseconds
    table time timer uid uint uint16 uint32 uint64 uint8 uintmax uintptr useconds va_list wchar wctrans
    wctype weight wint
    """.split()  # noqa: SIM905 - a list literal would be four times as long
)
"""Names ``n`` for which ``n_t`` is a type of C, C++ or hls4ml already."""

_GENERATED = re.compile(r"layer\d+(_out|_index)?|[wbs]\d+|\w*config\d+")
"""Names that hls4ml makes by itself."""

_SUFFIXES = ("", "_accum", "_weight", "_bias", "_table", "_scale", "_param", "_embeddings")
"""What hls4ml hangs on a layer's name before ``_t``."""


def cpp_names(names: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """A C++ name for each name, the same one wherever it is possible.

    Args:
        names: layer names in order.
        reserved: names that are taken.

    Example:
        >>> list(cpp_names(["fc1", "block.fc1", "/dense/MatMul", "1", "class", "fc", "fc_accum"]).values())
        ['fc1', 'block_fc1', 'dense_MatMul', 'layer_1', 'class_', 'fc', 'fc_accum_']
    """
    taken = {name.lower() for name in reserved}
    found: dict[str, str] = {}
    for name in names:
        word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "layer"
        word = f"layer_{word}" if word[0].isdigit() else word
        while _clashes(word, taken):
            word += "_"
        taken.add(word.lower())
        found[name] = word
    return found


def _clashes(word: str, taken: set[str]) -> bool:
    if (
        word in _KEYWORDS
        or word in _TYPES
        or re.fullmatch(r"layer\d+(_out|_index)?|[wbs]\d+|\w*config\d+", word)
    ):
        return True
    mine = {word.lower() + suffix for suffix in _SUFFIXES}
    return any(other + suffix in mine for other in taken for suffix in _SUFFIXES)
