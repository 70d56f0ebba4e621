"""`opsctl up` and `opsctl demo`."""
