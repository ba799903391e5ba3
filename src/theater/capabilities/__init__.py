"""What guests may touch: one file a capability, found by ``registry`` without being listed anywhere."""
