"""Floor 4: the ways in, such as the command line and the development server."""
