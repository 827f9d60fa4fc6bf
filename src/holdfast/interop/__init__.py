"""Other formats and libraries, one a file."""
