"""The limit that stops a run, and the approval that allows it once."""
