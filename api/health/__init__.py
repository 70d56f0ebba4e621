"""The health probes: alive, ready, full. They return the results of background checks."""
