"""Plots of query results: what to draw (`spec`, `chart`) and drawing it (`terminal`, `picture`)."""
