"""The lake: the recorder's tables as Delta tables in a bucket, filled from many machines' raw."""
