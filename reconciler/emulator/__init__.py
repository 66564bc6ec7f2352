"""The vendors' APIs, pretended: one Starlette application over SQLite, written from their contracts alone.

Nothing of the rest of the product is imported here: a mapping that we got wrong must not look right because both
sides got it wrong together.  ``app.create_app`` builds the application, ``server.serve`` gives it a socket.
"""
