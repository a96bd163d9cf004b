"""What training sees: the verb `look`, and the views of token sets and of packed rows."""
