"""The raw record in object storage: sealed files are sent there, and read from there."""
