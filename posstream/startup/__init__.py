"""What a process checks and sets up before it works: environment, folders and files."""
