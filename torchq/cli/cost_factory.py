"""A user's own model, by the name of what returns it: ``package.module:function``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchq.advice import advice
from torchq.errors import CostError

if TYPE_CHECKING:
    from torch import nn


def made_by(what: str) -> nn.Module:
    """The model that a function or class returns, or that a name stands for.

    The current folder is looked through first, as ``python -m`` does. Importing runs the module.

    Args:
        what: ``package.module:name``; the name may have dots.

    Raises:
        CostError: no such module or name, an error of its own, or something that is no ``nn.Module``.
    """
    from torch import nn

    module_name, _, name = what.partition(":")
    if not name or not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        raise CostError(f"{what}: is no package.module:function")
    found = _attribute(what, _module(what, module_name), name)
    if isinstance(found, nn.Module):
        return found.eval()
    if not callable(found):
        raise CostError(f"{what}: is {_kind(found)}, a function that returns a model is needed")
    try:
        model = found()
    except Exception as fault:  # the user's own code may raise anything
        raise CostError(f"{what}: calling it fails ({_said(fault)})") from fault
    if not isinstance(model, nn.Module):
        raise CostError(f"{what}: returned {_kind(model)}, a torch.nn.Module is needed")
    return model.eval()


def _module(what: str, name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        missing = fault.name or name
        if name != missing and not name.startswith(f"{missing}."):
            raise CostError(f"{what}: importing {name} needs {missing}, which is not installed") from fault
        files = sorted(path.stem for path in Path().glob("*.py"))
        raise CostError(
            f"{what}: there is no module {missing!r} in this folder or installed",
            hint=advice(missing, files, title="Modules here") if files else None,
        ) from fault
    except Exception as fault:  # the user's own code may raise anything
        raise CostError(f"{what}: importing {name} fails ({_said(fault)})") from fault


def _attribute(what: str, holder: Any, name: str) -> Any:
    for part in name.split("."):
        known = (
            [key for key in vars(holder) if not key.startswith("_")] if hasattr(holder, "__dict__") else []
        )
        try:
            holder = getattr(holder, part)
        except AttributeError:
            raise CostError(f"{what}: has no {part!r}", hint=advice(part, known)) from None
    return holder


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _said(fault: Exception) -> str:
    text = str(fault).strip()
    return f"{type(fault).__name__}: {text.splitlines()[0]}" if text else type(fault).__name__
