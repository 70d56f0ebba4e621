"""Refuses YAML that would grow when Dagster reads it: a run's configuration that is sent as a text.

An alias repeats what its anchor names, and aliases of aliases multiply it: a few hundred bytes become more
than a machine has. Dagster's pages and our own texts to paste use none.
"""

import yaml
from dagster_shared.yaml_utils import DagsterYamlLoader
from yaml.events import AliasEvent

from ops_pipeline.orchestration.webserver.refusal import Refusal

MOST_CHARACTERS = 64 * 1024
"""The largest configuration in our documentation has a hundred. Dagster takes a second for so many."""
MOST_LEVELS = 50


def refuse_unless_plain(text: str) -> None:
    """Raises Refusal: 400 where the text has an anchor or alias, 413 where it is too large or too deep.

    Invalid YAML is left to Dagster, which says what is wrong where the person sees it. It is read with the
    scanner and parser that Dagster uses, so that no text reads as two.
    """
    if len(text) > MOST_CHARACTERS:
        raise Refusal(
            413, f"A configuration as text has more than {MOST_CHARACTERS} characters. Nothing was done"
        )
    levels = 0
    try:
        for event in yaml.parse(text, Loader=DagsterYamlLoader):
            if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
                raise Refusal(
                    400,
                    f"The configuration has the anchor or alias {event.anchor[:100]!r}, which is not "
                    "accepted here; write the value in each place. A text that begins with & or * needs "
                    "quotes. Nothing was done",
                )
            levels += isinstance(event, yaml.CollectionStartEvent)
            levels -= isinstance(event, yaml.CollectionEndEvent)
            if levels > MOST_LEVELS:
                raise Refusal(413, f"The configuration has more than {MOST_LEVELS} levels. Nothing was done")
    except yaml.YAMLError:
        return
