"""Numbers that are added up and examined, and the command line in an empty folder."""

from exam_workplace import plugins, storm

__all__ = ["plugins", "storm"]
