"""What the tests of several folders share: records, servers, clients, commands.

What one folder alone uses stays in that folder.
"""
