"""Whether the rules of a contract, the tests and the right variants are tied to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograder.bank import Variant
from autograder.verify.material import Material

__all__ = ["contract_problems", "count_ties"]


def contract_problems(material: Material, variants: Sequence[Variant]) -> Iterator[str]:
    """Rules without a test, tests without a rule, freedoms nobody uses, names the contract does not have."""
    rules = {name for name in material.contract if name.startswith("R")}
    freedoms = {name for name in material.contract if name.startswith("F")}
    named = {rule for test in material.tests for rule in test.rules}
    used = {name for variant in variants for name in variant.uses}
    if not rules:
        yield "its contract has no rules: write them as list items, `- **R1** ...`, before the answer cell"
        return
    for rule in _in_order(rules - named):
        yield f'no test rests on rule {rule}: write `@rule("{rule}")` on the tests that do, or such a test'
    for test in material.tests:
        where = "visible" if test.visible else "hidden"
        if not test.rules:
            yield f"the {where} test {test.name} names no rule of the contract; which sentence is it?"
        if missing := _in_order(set(test.rules) - rules):
            yield f"the {where} test {test.name} names {', '.join(missing)}, which the contract does not have"
    for freedom in _in_order(freedoms - used):
        yield f'no right variant makes use of freedom {freedom}: write one with `uses="{freedom}"`'
    for variant in variants:
        if missing := _in_order(set(variant.uses) - rules - freedoms):
            names = ", ".join(missing)
            yield f"the right variant `{variant.name}` uses {names}, which the contract does not have"


def count_ties(material: Material, variants: Sequence[Variant]) -> dict[str, int]:
    """How many rules there are and are tested, how many freedoms there are and are used."""
    rules = {name for name in material.contract if name.startswith("R")}
    freedoms = set(material.contract) - rules
    return {
        "rules": len(rules),
        "covered": len(rules & {rule for test in material.tests for rule in test.rules}),
        "freedoms": len(freedoms),
        "used": len(freedoms & {name for variant in variants for name in variant.uses}),
    }


def _in_order(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (name[0], int(name[1:])) if name[1:].isdigit() else (name, 0))
