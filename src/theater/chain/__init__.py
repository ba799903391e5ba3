"""Hash chains: making events, checking them, and the text in which a chain leaves the node. Pure code throughout.

The bytes of a header and the commitment to a payload are in ``theater.model``, for the store needs them as well.
"""
