"""The answers that are judged: asking models and endpoints, and reading the answers that others wrote."""
