"""From an actor's sources to its component."""
