"""An ordinary table turned into one that is partitioned by day, while its application goes on writing.

The rows are copied into a new table beside the old one, changes are noted by a trigger and brought over, both
sides are compared, and then the new table takes the old one's name. Every step is a transaction that leaves
its place in `ops.adoptions`: a process that dies at any moment is resumed by the next. It is the method of
pg_repack and gh-ost, with the log of changes read back as keys, so that a late reader of an old snapshot can
do no harm.
"""

from ops_pipeline.maintenance.adopt.adopting import Adopted, adopt
from ops_pipeline.maintenance.adopt.adoption import Adoption, AdoptionError, State
from ops_pipeline.maintenance.adopt.ending import abort, finish
from ops_pipeline.maintenance.adopt.obstacles import AdoptionRefusedError

MIGRATION = "0009_adoptions"
"""All that an adoption needs of our own tables."""

__all__ = [
    "MIGRATION",
    "Adopted",
    "Adoption",
    "AdoptionError",
    "AdoptionRefusedError",
    "State",
    "abort",
    "adopt",
    "finish",
]
