"""From records to verdicts, tables, figures and one HTML page; needs neither torch nor MPI."""
