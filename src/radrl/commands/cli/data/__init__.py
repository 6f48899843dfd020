"""The doors of ``radrl data``: published data sets to manifests, and manifests looked at."""
