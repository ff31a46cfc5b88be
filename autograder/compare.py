"""`close`: type, shape, dtype and finiteness first, then values; and it says what was expected, what
came, where.

numpy's and torch's own comparisons accept a scalar for a matrix, broadcast, or take float32 for float64.
This one does not. It judges values only: a `Remote` (an object of the learner's process) is never close
to anything.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from autograder.record import Comparison, note_comparison

__all__ = ["TOLERANCES", "MismatchError", "close"]

# rtol, atol by dtype (CURRICULUM's convention C5); whole numbers and booleans are compared exactly.
TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float64: (1e-7, 1e-9),
    torch.complex128: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-5),
    torch.complex64: (1e-4, 1e-5),
    torch.float16: (1e-2, 1e-3),
    torch.bfloat16: (2e-2, 1e-2),
}
SHOWN = 6  # entries of a tensor shown in a message


class MismatchError(AssertionError):
    """`kind` says in two or three words what differs and never holds a value; `detail` has the numbers."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def close(
    got: Any,
    want: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    what: str = "the result",
    step: str = "",
    finite: bool = True,
) -> None:
    """Raises MismatchError unless `got` equals `want` in type, shape, dtype, finiteness and values.

    Where a tensor is wanted a tensor must come, of the same dtype; where an array is wanted an array or a
    list of that shape; where a Python number is wanted a number or a 0-d array or tensor. Containers are
    compared part by part, a tuple may come as a list. `finite=False` lets NaN and infinities be equal to
    themselves. `step` names where in a computation of several steps this value stands; the message says it.
    """
    note_comparison(Comparison(got, want, rtol, atol, finite))
    try:
        _close(got, want, rtol=rtol, atol=atol, what=what, finite=finite)
    except MismatchError as error:
        if not step:
            raise
        text = f"up to here every step is right; the first that differs is: {step}\n{error.detail}"
        raise MismatchError(f"{error.kind} at the step: {step}", text) from None


def _close(got: Any, want: Any, *, what: str, **tolerance: Any) -> None:
    if isinstance(want, Mapping):
        _close_mapping(got, want, what=what, **tolerance)
    elif isinstance(want, tuple | list) and not _is_numeric_list(want):
        _close_sequence(got, want, what=what, **tolerance)
    elif isinstance(want, torch.Tensor | np.ndarray | list | tuple) or _is_number(want):
        _close_numbers(got, want, what=what, **tolerance)
    elif type(got) is not type(want) or got != want:
        raise MismatchError("wrong value", f"expected {what} to be {_short(want)}, got {_short(got)}")


def _close_mapping(got: Any, want: Mapping[Any, Any], *, what: str, **tolerance: Any) -> None:
    if not isinstance(got, Mapping):
        raise MismatchError("wrong type", f"expected {what} to be a dict, got {_kind(got)}")
    if set(got) != set(want):
        missing, extra = sorted(map(str, set(want) - set(got))), sorted(map(str, set(got) - set(want)))
        raise MismatchError(
            "wrong keys", f"keys of {what}: missing {missing or 'none'}, unexpected {extra or 'none'}"
        )
    for key in want:
        _close(got[key], want[key], what=f"{what}[{key!r}]", **tolerance)


def _close_sequence(got: Any, want: Any, *, what: str, **tolerance: Any) -> None:
    if not isinstance(got, tuple | list):
        raise MismatchError(
            "wrong type", f"expected {what} to be a {_kind(want)} of {len(want)}, got {_kind(got)}"
        )
    if len(got) != len(want):
        raise MismatchError("wrong length", f"expected {what} to have {len(want)} parts, got {len(got)}")
    for place, (g, w) in enumerate(zip(got, want, strict=True)):
        _close(g, w, what=f"{what}[{place}]", **tolerance)


def _close_numbers(
    got: Any, want: Any, *, rtol: float | None, atol: float | None, what: str, finite: bool
) -> None:
    _check_type(got, want, what)
    g, w = _tensor(got, want, what), _tensor(want, want, what)
    if g.shape != w.shape:
        raise MismatchError("wrong shape", f"expected {what} of shape {tuple(w.shape)}, got {tuple(g.shape)}")
    _check_dtype(got, want, g, w, what)
    default_r, default_a = TOLERANCES.get(w.dtype, (0.0, 0.0))
    rtol, atol = default_r if rtol is None else rtol, default_a if atol is None else atol
    if _clearly_close(g, w, rtol, atol):
        return
    if finite and not bool(torch.isfinite(g).all()):
        at = _where(~torch.isfinite(g))
        raise MismatchError("not finite", f"a value in {what} is not finite: {g[at].item()} at {_place(at)}")
    if g.dtype != w.dtype:
        g, w = g.to(torch.promote_types(g.dtype, w.dtype)), w.to(torch.promote_types(g.dtype, w.dtype))
    same = torch.isclose(g, w, rtol=rtol, atol=atol, equal_nan=not finite)
    if not bool(same.all()):
        raise MismatchError("wrong values", _difference(g, w, ~same, what))


def _clearly_close(g: torch.Tensor, w: torch.Tensor, rtol: float, atol: float) -> bool:
    """`torch.isfinite` and `torch.isclose` of floats of one dtype, in a quarter of their time: for what is
    right, which is nearly everything. False says only that they must be asked."""
    if g.dtype != w.dtype or not g.is_floating_point():
        return False
    error = (g - w).abs_()
    return bool(((error <= (w * rtol).abs_().add_(atol)) & (error < math.inf)).all())


def _check_type(got: Any, want: Any, what: str) -> None:
    if isinstance(want, torch.Tensor):
        right = type(got) is torch.Tensor
        wanted = "a torch tensor"
    elif isinstance(want, np.ndarray | list | tuple):
        right = type(got) in (np.ndarray, list, tuple) or isinstance(got, np.generic) or _is_number(got)
        wanted = "an array"
    else:
        right = _is_number(got) or (isinstance(got, np.ndarray | torch.Tensor) and got.ndim == 0)
        wanted = "a number"
    if not right:
        raise MismatchError("wrong type", f"expected {what} to be {wanted}, got {_kind(got)}")


def _check_dtype(got: Any, want: Any, g: torch.Tensor, w: torch.Tensor, what: str) -> None:
    """Tensors: the same dtype. Arrays: the same, a list only the same kind. Numbers: whole, truth or real."""
    if isinstance(want, torch.Tensor) or (isinstance(want, np.ndarray) and isinstance(got, np.ndarray)):
        right = g.dtype == w.dtype
    else:
        kinds = {_dtype_kind(w.dtype)} | ({"whole"} if _dtype_kind(w.dtype) == "real" else set())
        right = _dtype_kind(g.dtype) in kinds
    if not right:
        names = [str(t.dtype).removeprefix("torch.") for t in (w, g)]
        raise MismatchError("wrong dtype", f"expected {what} of dtype {names[0]}, got {names[1]}")


def _dtype_kind(dtype: torch.dtype) -> str:
    if dtype == torch.bool:
        return "truth"
    return "real" if dtype.is_floating_point else "complex" if dtype.is_complex else "whole"


def _tensor(value: Any, want: Any, what: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach()
    try:
        array = np.asarray(value)
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape).copy())
    except (TypeError, ValueError):
        raise MismatchError("wrong type", f"expected {what} to hold numbers, got {_short(value)}") from None


def _difference(g: torch.Tensor, w: torch.Tensor, wrong: torch.Tensor, what: str) -> str:
    count = int(wrong.sum())
    at = _where(wrong)
    lines = [
        f"expected: {_short(w)}",
        f"got:      {_short(g)}",
    ]
    if g.ndim:
        where = f"{count} of {g.numel()} values differ; the first at {_place(at)}"
        lines.append(f"{where}: expected {_number(w[at].item())}, got {_number(g[at].item())}")
    return f"{what}: wrong values\n" + "\n".join(lines)


def _where(mask: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(i) for i in mask.nonzero()[0])


def _place(at: tuple[int, ...]) -> str:
    return f"index {list(at)}" if at else "the only entry"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        flat = value.detach().reshape(-1)
        if flat.ndim and value.ndim == 0:
            return _number(value.item())
        shown = ", ".join(_number(v) for v in flat[:SHOWN].tolist())
        more = ", ..." if flat.numel() > SHOWN else ""
        dtype = str(value.dtype).removeprefix("torch.")
        return f"[{shown}{more}] ({dtype} of shape {tuple(value.shape)})"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _kind(value: Any) -> str:
    if value is None:
        return "None (is there a `return`? `print` only shows a value)"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"a {name}" if name != "Remote" else repr(value)[1:-1]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Number | np.generic | bool)


def _is_numeric_list(value: Any) -> bool:
    """A list or tuple that holds nothing but numbers (lists of lists of numbers are compared part by
    part)."""
    return (
        len(value) > 0
        and isinstance(value, list)
        and all(_is_number(v) for v in value)
        and not any(isinstance(v, float) and not math.isfinite(v) for v in value)
    )
