"""Evaluating the models of a training before its end: the section `evaluation`."""
