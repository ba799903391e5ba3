"""The HTTP server: the API over one runtime. What it serves is data (``Endpoint``); what serves it is the frame."""
