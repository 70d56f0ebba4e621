"""Is it alive, is it ready, and if not, what is wrong: answered from what background checks found."""
