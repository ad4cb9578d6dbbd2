"""Colours, each under one name: matplotlib draws the light ones, the page swaps in the dark ones."""

from __future__ import annotations

#: name -> (light, dark). The light colours differ from each other: pictures are re-coloured by them.
COLOURS: dict[str, tuple[str, str]] = {
    "page": ("#ffffff", "#14181d"),
    "ink": ("#1c2530", "#e6eaef"),
    "quiet": ("#5d6b7a", "#9aa7b4"),
    "line": ("#dfe4ea", "#2d353f"),
    "picked": ("#c4204f", "#ff7396"),
    "front": ("#d98a9f", "#8f4058"),
    "good": ("#1a7a4c", "#58c58e"),
    "bad": ("#b42318", "#ff8a7a"),
    "c0": ("#0c6cb5", "#62b5f5"),
    "c1": ("#d2690c", "#f0a354"),
    "c2": ("#0f8a72", "#4ecbac"),
    "c3": ("#ad3a86", "#ee8acb"),
    "c4": ("#6a51c2", "#aa98f6"),
    "c5": ("#8c6f1f", "#d6b95c"),
    "c6": ("#4d6576", "#a3b8c8"),
    "c7": ("#a84a32", "#e59a84"),
}


def light(name: str) -> str:
    """The colour for pictures.

    Example:
        >>> light("page")
        '#ffffff'
    """
    return COLOURS[name][0]


def series(place: int) -> str:
    """The colour of the n-th thing of a kind; they come round after eight."""
    return light(f"c{place % 8}")


def variables(which: int) -> str:
    """The colours as CSS variables: 0 for the light set, 1 for the dark one."""
    return "".join(f"--{name}:{pair[which]};" for name, pair in COLOURS.items())
