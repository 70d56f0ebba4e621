"""Adopts a table of the database that is named, in small batches, to be killed in the middle."""

import sys

from ops_pipeline.database import connect
from ops_pipeline.maintenance import adopt
from ops_pipeline.maintenance.adopt import copying
from ops_pipeline.maintenance.windows import Sizes

copying.SIZES = Sizes(200, 200, 200)
copying.COMPARED_ROWS = 500
copying.CHANGES_AT_ONCE = 50
with connect(sys.argv[1], "adopting worker") as connection:
    adopt.adopt(connection, "public", "ledger", column="at")
