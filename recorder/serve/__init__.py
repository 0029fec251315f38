"""Watching the record live: one page, a WebSocket, metrics and queries over HTTP.

Everything is read from files: the journals' tails, the published database, the markers. Capture
and ingest never know of it, and nothing here writes to the record.

    hub      follows the journals in a thread of its own and hands events to the clients
    client   one client's bounded queue: filters, conflates, counts what it leaves out
    ask      canned queries and SQL, each in a child process with limits
    guard    who may ask at all: token, Host, Origin, sizes, numbers of connections
    app      the routes
"""
