"""Is this JSON of the shape we wrote? Exact fields, exact types, finite numbers; nothing is converted.

Not JSON Schema: there are no optional fields, no unions and no defaults.
"""

from __future__ import annotations

from typing import cast

__all__ = ["check_shape"]

LARGEST = 1e300


def check_shape(value: object, schema: object, at: str = "$") -> None:
    """Raises ValueError unless `value` fits `schema`, and says what was expected, what came, and where.

    A schema is a type, a tuple of allowed words, [item] for a list, or a dict of exactly these fields.

    >>> check_shape({"n": [1, "2"]}, {"n": [int]})
    Traceback (most recent call last):
    ValueError: Expected `int`, got `str` - at `$.n[1]`
    """
    if isinstance(schema, dict):
        check_shape(value, dict, at)
        got = cast(dict[object, object], value)
        for name in schema:
            if name not in got:
                raise ValueError(f"Expected the field `{name}`, it is missing - at `{at}`")
        for name in got:
            if name not in schema:
                raise ValueError(f"Expected no field but {', '.join(schema)}; got `{name}` - at `{at}`")
        for name, wanted in schema.items():
            check_shape(got[name], wanted, f"{at}.{name}")
    elif isinstance(schema, list):
        check_shape(value, list, at)
        for i, item in enumerate(cast(list[object], value)):
            check_shape(item, schema[0], f"{at}[{i}]")
    elif isinstance(schema, tuple):
        if value not in schema:
            raise ValueError(f"Expected one of {', '.join(schema)}; got {value!r:.80} - at `{at}`")
    elif schema is float:
        if type(value) not in (int, float) or not abs(cast(float, value)) < LARGEST:  # NaN fails, too
            raise ValueError(f"Expected a finite number, got {value!r:.80} - at `{at}`")
    elif type(value) is not schema:
        raise ValueError(
            f"Expected `{cast(type, schema).__name__}`, got `{type(value).__name__}` - at `{at}`"
        )
