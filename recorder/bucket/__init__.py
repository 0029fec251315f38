"""The raw record in object storage: sealed files are uploaded to it and read from it."""
