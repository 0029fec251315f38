"""`recorder serve`: a live page of the record, a WebSocket, metrics, and queries over HTTP.

It only reads files: the journals, the published database and the markers. Capture and ingest do not
depend on it, and it never writes to the record.

    hub      a thread that follows the journals and passes events to the clients
    client   one client's bounded queue: filters and conflates events, counts those left out
    ask      canned queries and SQL, each in a child process with limits
    guard    access checks: token, Host, Origin, sizes, numbers of connections
    app      the routes
"""
