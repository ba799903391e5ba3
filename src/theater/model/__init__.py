"""The nouns of the system: pure values and the ports that other layers implement. No I/O, clock, thread or entropy."""
