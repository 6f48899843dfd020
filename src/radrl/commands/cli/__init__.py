"""The doors: a file for each command, with its options and its text of ``--help``. Each reads what was typed and calls
the function that does the work. Imports stand in the functions, so that ``radrl --help`` loads no library."""
