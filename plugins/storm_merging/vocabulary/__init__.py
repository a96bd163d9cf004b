"""Models with different vocabularies, merged by token: which row of which model becomes which."""
