"""What evaluators ask: the questions that training rows are searched for."""
