"""Sets up Kiln's environment and starts it; standard library only, Python 3.10 and newer."""
