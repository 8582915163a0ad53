"""Models from the web: what is known, where it lies, and getting it whole onto this machine."""
