"""The edits behind the mutation gate: each operator maps a node of the syntax tree to what may replace it.

An operator yields (name, replacement); the name says what the edit breaks: axis, off by one, constant, sign,
eps, scale, transpose, mask, branch, inequality, reduction, dtype, alias, order, detach, dropped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from typing import TypeAlias

__all__ = ["mutations"]

Replacement: TypeAlias = tuple[str, "ast.expr | ast.stmt"]

AXES = {"dim", "axis", "dim0", "dim1", "start_dim", "end_dim", "dims"}
# The place of the axis among the arguments of a method; of a function it is one further.
AXIS_AT = {
    **dict.fromkeys(("softmax", "log_softmax", "logsumexp", "sum", "mean", "std", "var", "prod"), 0),
    **dict.fromkeys(("max", "min", "amax", "amin", "argmax", "argmin", "argsort", "sort", "any", "all"), 0),
    **dict.fromkeys(("cumsum", "cumprod", "unbind", "squeeze", "unsqueeze", "flip", "flatten", "median"), 0),
    **dict.fromkeys(("size", "unflatten", "norm", "gather", "index_select", "expand_dims"), 0),
    **dict.fromkeys(("chunk", "split", "roll", "repeat_interleave", "topk", "diff", "concatenate"), 1),
    **dict.fromkeys(("cat", "stack"), 0),
}
MODULES = {"torch", "np", "numpy", "F", "nn", "math"}
SWAPS = (
    ("sum", "mean"), ("max", "min"), ("amax", "amin"), ("argmax", "argmin"), ("maximum", "minimum"),
    ("any", "all"), ("var", "std"), ("sin", "cos"), ("tril", "triu"), ("zeros", "ones"), ("floor", "ceil"),
    ("zeros_like", "ones_like"), ("float64", "float32"), ("double", "float"), ("append", "extend"),
    ("cumsum", "cumprod"), ("log1p", "log"), ("expm1", "exp"), ("clamp_min", "clamp_max"),
    ("eq", "ne"), ("argsort", "sort"), ("repeat_interleave", "repeat"), ("logical_and", "logical_or"),
)  # fmt: skip
SWAP = {a: b for pair in SWAPS for a, b in (pair, pair[::-1])}
UNWRAPPED = {  # x.name(...) -> x
    **dict.fromkeys(("T", "mT", "transpose", "permute", "swapaxes", "movedim"), "transpose"),
    **dict.fromkeys(("clone", "copy"), "alias"),
    **dict.fromkeys(("masked_fill", "tril", "triu"), "mask"),
    **dict.fromkeys(("clamp", "clamp_min", "clip", "nan_to_num"), "eps"),
    **dict.fromkeys(("abs", "sqrt", "exp", "log", "square", "relu", "sigmoid", "tanh", "pow"), "scale"),
    **dict.fromkeys(("to", "astype", "double", "float", "type_as"), "dtype"),
    "detach": "detach",
}  # fmt: skip
INPLACE = {"masked_fill", "add", "sub", "mul", "div", "clamp", "clamp_min", "exp", "scatter_add", "index_add"}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
TINY = 1e-3


def mutations(tree: ast.Module) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.expr | ast.stmt, ast.AST]]:
    """(operator, node, replacement, parent of the node) for every edit; words for people are left alone."""
    for parent, node in _walk(tree):
        if isinstance(parent, ast.If | ast.IfExp) and node is parent.test:
            yield "branch", node, ast.Constant(True), parent
        if isinstance(parent, ast.If | ast.IfExp | ast.While) and node is parent.test:
            yield "branch", node, ast.Constant(False), parent
        for operator in (_axis, _number, _arithmetic, _logic, _name, _call, _statement):
            for name, replacement in operator(node):
                yield name, node, replacement, parent


def _walk(parent: ast.AST) -> Iterator[tuple[ast.AST, ast.expr | ast.stmt]]:
    for name, value in ast.iter_fields(parent):
        if name in ("annotation", "returns", "decorator_list", "msg", "exc", "type_comment"):
            continue
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.JoinedStr) or _is_text(node):
                continue
            if isinstance(node, ast.expr | ast.stmt) and not isinstance(
                getattr(node, "ctx", None), ast.Store
            ):
                yield parent, node
            if isinstance(node, ast.AST):
                yield from _walk(node)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _axis(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.Subscript(value=ast.Attribute(attr="shape"), slice=index) if (
            n := _integer(index)
        ) is not None:
            yield "axis", _with(node, slice=_constant(_other(n)))
        case ast.Call(func=function, args=args, keywords=keywords):
            for place, keyword in enumerate(keywords):
                if keyword.arg in AXES and (n := _integer(keyword.value)) is not None:
                    changed = deepcopy(node)
                    changed.keywords[place].value = _constant(_other(n))
                    yield "axis", changed
            at = _axis_place(function)
            if at is not None and at < len(args) and (n := _integer(args[at])) is not None:
                changed = deepcopy(node)
                changed.args[at] = _constant(_other(n))
                yield "axis", changed


def _axis_place(function: ast.expr) -> int | None:
    match function:
        case ast.Attribute(value=owner, attr=name) if name in AXIS_AT:
            return AXIS_AT[name] + (isinstance(owner, ast.Name) and owner.id in MODULES)
    return None


def _number(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.Constant(value=bool(value)):
            yield "constant", _constant(not value)
        case ast.Constant(value=int(value)):
            yield "off by one", _constant(value + 1)
            if value > 0:
                yield "off by one", _constant(value - 1)
        case ast.Constant(value=float(value)):
            yield "constant", _constant(2 * value if value else 1.0)
        case ast.Slice(upper=ast.Name() as upper):
            yield "off by one", _with(node, upper=ast.BinOp(upper, ast.Sub(), _constant(1)))
        case ast.Slice(lower=ast.Name() as lower):
            yield "off by one", _with(node, lower=ast.BinOp(lower, ast.Add(), _constant(1)))


def _arithmetic(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", operand
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            yield "sign", _with(node, op=ast.Sub() if isinstance(op, ast.Add) else ast.Add())
            yield ("eps" if _is_tiny(right) else "dropped"), left
            if isinstance(op, ast.Add):
                yield ("eps" if _is_tiny(left) else "dropped"), right
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            yield "scale", _with(node, op=ast.Div() if isinstance(op, ast.Mult) else ast.Mult())
            yield "scale", left
            if isinstance(op, ast.Mult):
                yield "scale", right
        case ast.BinOp(left=left, op=ast.Pow()):
            yield "scale", left
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod() as op):
            yield "scale", _with(node, op=ast.Mod() if isinstance(op, ast.FloorDiv) else ast.FloorDiv())
        case ast.BinOp(left=left, op=ast.MatMult(), right=right):
            yield "transpose", _with(node, left=right, right=left)


def _logic(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
            yield "mask", operand
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() as bits):
            yield "mask", _with(node, op=ast.BitOr() if isinstance(bits, ast.BitAnd) else ast.BitAnd())
        case ast.BoolOp(op=both):
            yield "branch", _with(node, op=ast.Or() if isinstance(both, ast.And) else ast.And())
        case ast.Compare(ops=[op], left=left, comparators=[right]):
            yield "inequality", _with(node, ops=[COMPARISONS[type(op)]()])
            yield from (("inequality", _with(node, ops=[one_way()])) for one_way in _one_way(op, right))
            if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                yield "inequality", ast.Compare(right, [op], [left])
        case ast.IfExp(body=body, orelse=orelse):
            yield from (("branch", body), ("branch", orelse))


def _one_way(op: ast.cmpop, right: ast.expr) -> tuple[type[ast.cmpop], ...]:
    """A difference looked for in one direction only: a size that is too small, but not one too large."""
    match op, right:
        case ast.NotEq(), _:
            return ast.Lt, ast.Gt
        case ast.Eq(), ast.Constant(value=int() | float()) | ast.Name() | ast.Attribute() | ast.Subscript():
            return ast.LtE, ast.GtE
    return ()


def _name(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.Attribute(value=owner, attr="T" | "mT"):
            yield "transpose", owner
        case ast.Attribute(attr=name) if name in SWAP:
            yield "reduction", _with(node, attr=SWAP[name])
        case ast.Call(func=ast.Name(id=name)) if name in SWAP:
            yield "reduction", _with(node, func=ast.Name(SWAP[name], ast.Load()))


def _call(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name), args=[first, *more]) if (
            owner in MODULES
        ):
            if name in UNWRAPPED:
                yield UNWRAPPED[name], first
            if name == "where" and len(more) == 2:
                yield from (("mask", branch) for branch in more)
        case ast.Call(func=ast.Attribute(value=value, attr=name)):
            if name in UNWRAPPED:
                yield UNWRAPPED[name], value
            if name in INPLACE and isinstance(value, ast.Name):
                yield "alias", _with(node, func=ast.Attribute(value, f"{name}_", ast.Load()))
        case ast.Call(
            func=ast.Name(id="abs" | "list" | "dict" | "sorted" | "reversed" | "float"), args=[only]
        ):
            yield "dropped", only
    for place, keyword in enumerate(node.keywords if isinstance(node, ast.Call) else []):
        if keyword.arg and keyword.arg not in AXES and not isinstance(keyword.value, ast.Constant):
            changed = deepcopy(node)
            del changed.keywords[place]  # type: ignore[union-attr]
            yield "dropped", changed


def _statement(node: ast.expr | ast.stmt) -> Iterator[Replacement]:
    match node:
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Assert():
            yield "dropped", ast.Pass()
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            yield "dropped", ast.Pass()
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(ast.Name(id=same), op, right)):
            if name == same:
                yield "alias", ast.AugAssign(ast.Name(name, ast.Store()), op, right)
        case ast.Return(value=ast.Tuple(elts=parts)):
            if len(parts) > 1:
                yield "order", _with(node, value=ast.Tuple([parts[1], parts[0], *parts[2:]], ast.Load()))
            for place in range(len(parts)):
                cut = [_detached(part) if i == place else part for i, part in enumerate(parts)]
                yield "detach", _with(node, value=ast.Tuple(cut, ast.Load()))
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "detach", _with(node, value=_detached(value))


def _detached(value: ast.expr) -> ast.expr:
    return ast.Call(ast.Attribute(value, "detach", ast.Load()), [], [])


def _with(node: ast.AST, **fields: object) -> ast.expr | ast.stmt:
    changed = deepcopy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    assert isinstance(changed, ast.expr | ast.stmt)
    return changed


def _constant(value: bool | int | float) -> ast.expr:
    return ast.Constant(value)


def _integer(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
    return None


def _other(axis: int) -> int:
    """Another axis: the neighbour."""
    return {-1: -2, 0: 1}.get(axis, axis + 1 if axis < 0 else axis - 1)


def _is_tiny(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=float(value)):
            return abs(value) <= TINY
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return "eps" in name
    return False
