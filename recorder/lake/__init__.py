"""The lake: the recorder's tables as Delta tables in a bucket, made from many machines' raw."""
