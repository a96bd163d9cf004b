"""All families of skills: the pool's four, and those of other corpora and tasks."""

from __future__ import annotations

from storm_tinyworld.skills.arithmetic import ARITHMETIC
from storm_tinyworld.skills.basic import FAMILIES, Families
from storm_tinyworld.skills.constraints import CONSTRAINT_SKILLS
from storm_tinyworld.skills.function_calling import FUNCTION_CALLING
from storm_tinyworld.skills.programs import PROGRAMS
from storm_tinyworld.skills.retrieval import RETRIEVAL
from storm_tinyworld.skills.role_play import ROLE_PLAY

ALIGNMENT: Families = {**CONSTRAINT_SKILLS, **ROLE_PLAY, **RETRIEVAL, **FUNCTION_CALLING}
"""The skills that Minitron was aligned for: instructions, role play, retrieval, function calls."""

FURTHER_FAMILIES: Families = {**ARITHMETIC, **PROGRAMS, **ALIGNMENT}

EVERY_FAMILY: Families = {**FAMILIES, **FURTHER_FAMILIES}
