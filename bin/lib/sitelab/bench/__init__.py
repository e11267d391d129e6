"""bin/bench: what the site costs, and how fast it is beside others."""
