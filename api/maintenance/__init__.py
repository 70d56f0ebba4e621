"""What maintenance did and would do, over HTTP."""
