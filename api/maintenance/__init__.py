"""The HTTP routes of maintenance: past runs, and the plan of the next one."""
