"""Settings: what the user configures, where each value comes from, and the keys."""
