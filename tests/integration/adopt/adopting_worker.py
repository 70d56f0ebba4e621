"""Adopts a table of the database that is named, in small batches, to be killed in the middle."""

import sys

from ops_pipeline.partitions.adopt import copy
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.throttle.batch_size import Sizes

copy.SIZES = Sizes(200, 200, 200)
copy.COMPARED_ROWS = 500
copy.CHANGES_AT_ONCE = 50
with connect(sys.argv[1], "adopting worker") as connection:
    adopt_table(connection, find_relation(connection, TableName("public", "ledger")), column="at")
