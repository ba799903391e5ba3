"""The listener of actors' HTTP servers: sockets, protocols, and the bounds of every connection."""
