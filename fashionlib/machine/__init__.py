"""Hardware, processes, files, progress."""
