"""Adopts a table of the given database in small batches, to be killed in the middle."""

import sys

from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.adopt.copy import CopySizes
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.throttle.batch_size import Sizes

SMALL = CopySizes(copied=Sizes(200, 200, 200), compared=500, changes=50)
with connect(sys.argv[1], "adopting worker") as connection:
    ledger = find_relation(connection, TableName("public", "ledger"))
    adopt_table(connection, ledger, column="at", sizes=SMALL)
