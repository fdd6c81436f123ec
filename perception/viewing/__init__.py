"""Pictures, videos and viewer recordings of results."""
