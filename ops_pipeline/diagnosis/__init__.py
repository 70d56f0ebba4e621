"""The questions of `opsctl doctor`: what keeps policies from running or endangers rows. One file each."""
