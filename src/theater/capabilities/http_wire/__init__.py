"""Requests on the wire: what needs the HTTP library. In a folder of its own, so that nobody imports it unasked."""
