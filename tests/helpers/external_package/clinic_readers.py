"""A reader that somebody else's package offers, as pip would install it: a test puts this folder on sys.path."""

from radrl.data.published.record import Reader, Record, each
from radrl.data.published.tables import table


def read(root, options):
    rows = table(root, ["films.csv"], ["file", "report"])
    return each(rows, lambda row: Record(row["file"], (row["file"],), split="test", report={"findings": row["report"]}))


CLINIC = Reader("clinic", "Films of a clinic", ("report",), "films.csv   file, report", "made up", read)
