"""Turn frames into table rows: normalise, ingest, publish, rebuild and prune."""
