"""Tools for tests of actors and capabilities, for users as for ourselves."""
