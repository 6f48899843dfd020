"""Work on manifests: check, clean, augment, find burned-in text."""
