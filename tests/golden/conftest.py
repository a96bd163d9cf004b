"""The figures are those of the cold run of `smoke` that the end-to-end tests share."""

from end_to_end.conftest import smoked

__all__ = ["smoked"]
