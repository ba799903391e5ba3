"""Actors at work: steps, recording, replay, verification."""
