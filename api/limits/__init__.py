"""What one key may take of the process at a time, so that something is left for the others."""
