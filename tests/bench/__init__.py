"""The benchmarks: what is measured in a page, judged and shown here."""
