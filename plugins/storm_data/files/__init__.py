"""Reading rows from files, splitting them, and the funnel of accepted and rejected rows."""
