"""The supervisor and its notifications, with real child processes."""
