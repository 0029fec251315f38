"""The write half: what `recorder capture` runs, from settings to journals."""
