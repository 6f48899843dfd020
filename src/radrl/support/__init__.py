"""What every room may need and no paper names: files, processes, progress, chat with an endpoint."""
