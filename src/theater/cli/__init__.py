"""The command line. ``main`` is the command; each other file has one group of commands, or one noun they share."""
