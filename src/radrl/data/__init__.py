"""Data sets: one reader each. A reader takes (root, out, max_side), writes manifests, and returns Examples a split."""

from radrl.data import covid_lungs

READERS = {"covid_lungs": covid_lungs.prepare}
