"""Bounds what validating a GraphQL document costs, before Dagster validates it.

Dagster's library compares each field with each other one that has the same place in the answer: the same
names from the root of its operation or fragment on. So the comparisons grow with the square of the
repetitions, and a document of a few KiB would take minutes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from ops_pipeline.orchestration.webserver.refusal import Refusal, too_large

MOST_FIELDS = 20_000
"""Fields and spreads with all fragments in their places: fragments that spread fragments multiply them. The
largest document of Dagster's pages has 4,500."""
MOST_COMPARED = 10_000
"""Pairs of fields at the same place. There it has 5,000, with the same fragments in 30 types of events."""

Fragments = Mapping[str, FragmentDefinitionNode]


def refuse_costly(operations: Sequence[OperationDefinitionNode], fragments: Fragments) -> None:
    """Raises Refusal: 413 where the validation would cost much, 400 where a fragment contains itself."""
    roots = [node.selection_set for node in [*operations, *fragments.values()]]
    sizes = _Sizes(fragments)
    if sum(map(sizes.of, roots)) > MOST_FIELDS:
        raise too_large(f"{MOST_FIELDS} fields, with the fragments in their places")
    compared = 0
    for root in roots:
        compared += _compared([root], fragments)
        if compared > MOST_COMPARED:
            raise too_large(f"{MOST_COMPARED} pairs of fields with the same name at the same place")


@dataclass(slots=True)
class _Sizes:
    """The fields and spreads of selections, with the fragments in their places."""

    fragments: Fragments
    known: dict[str, int | None] = field(default_factory=dict)

    def of(self, selected: SelectionSetNode) -> int:
        size = len(selected.selections)
        for node in selected.selections:
            if isinstance(node, FragmentSpreadNode):
                size += self._of_fragment(node.name.value)
            elif isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
                size += self.of(node.selection_set)
        return size

    def _of_fragment(self, name: str) -> int:
        if name not in self.fragments:
            return 0
        if name not in self.known:
            self.known[name] = None
            self.known[name] = self.of(self.fragments[name].selection_set)
        if (size := self.known[name]) is None:
            raise Refusal(400, f"The fragment {name[:100]} contains itself. Nothing was done")
        return size


def _compared(together: Sequence[SelectionSetNode], fragments: Fragments) -> int:
    """The pairs in selections whose fields have the same place. Fragments are compared with each other and
    with each field as well."""
    places: dict[str, list[FieldNode]] = defaultdict(list)
    spreads, open_sets = 0, list(together)
    while open_sets:
        for node in open_sets.pop().selections:
            if isinstance(node, FieldNode):
                places[(node.alias or node.name).value].append(node)
            elif isinstance(node, InlineFragmentNode):
                open_sets.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments:
                spreads += 1
                open_sets.append(fragments[node.name.value].selection_set)
    pairs = _pairs(spreads) + spreads * len(places)
    for fields in places.values():
        pairs += _pairs(len(fields))
        if below := [node.selection_set for node in fields if node.selection_set is not None]:
            pairs += _compared(below, fragments)
    return pairs


def _pairs(number: int) -> int:
    return number * (number - 1) // 2
