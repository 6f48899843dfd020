"""Manifests from and to formats of other programs."""
