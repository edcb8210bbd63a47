"""Index a directory of Python files: one durable job per file, several worker processes."""
