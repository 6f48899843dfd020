"""What an evaluation measures: values of a case and of a set."""
