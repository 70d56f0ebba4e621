"""Bounds what validating a GraphQL document costs, before Dagster validates it.

Dagster's library compares each field with each other one that has the same place in the answer, so the
comparisons grow with the square of the repetitions: a document of a few KiB would take seconds, for a
websocket in the event loop. It counts them, and ends the validation at a limit that can be set.
"""

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
from graphql.validation.rules import overlapping_fields_can_be_merged

from ops_pipeline.orchestration.webserver.refusal import Refusal, too_large

MOST_FIELDS = 20_000
"""Fields and spreads with all fragments in their places: fragments that spread fragments multiply them. The
largest document of Dagster's pages has 6,500."""
MOST_COMPARED = 20_000
"""What the comparisons of a document may cost in the library's count, two for a pair of fields. There it has
2,200, and the library's own limit is 500,000; so many take a tenth of a second."""

Fragments = Mapping[str, FragmentDefinitionNode]


def bound_comparisons() -> None:
    """Sets the limit for this process: a document beyond it is invalid ("Validation aborted."), by POST and
    by websocket alike."""
    overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = MOST_COMPARED


def refuse_costly(operations: Sequence[OperationDefinitionNode], fragments: Fragments) -> None:
    """Raises Refusal: 413 for too many fields, 400 where a fragment contains itself."""
    roots = [node.selection_set for node in [*operations, *fragments.values()]]
    sizes = _Sizes(fragments)
    if sum(map(sizes.of, roots)) > MOST_FIELDS:
        raise too_large(f"{MOST_FIELDS} fields, with the fragments in their places")


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
