"""Tables to answers: the published database, canned questions, one's own SQL."""
