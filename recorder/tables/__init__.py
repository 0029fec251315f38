"""Frames to tables: normalising, ingest, publishing, and making rows anew."""
