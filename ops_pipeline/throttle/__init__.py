"""How hard maintenance may work now."""
