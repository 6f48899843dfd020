"""Pages as single HTML files that ask nothing of any network: of an evaluation, a data set, a cleaning, a gallery, two
labelers."""
