"""Report text to sections to findings, and the comparison of two reports."""
