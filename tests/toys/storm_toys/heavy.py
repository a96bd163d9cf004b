"""A module of components that imports a heavy package as it is imported itself."""

import numpy

from storm_exp import StageContext, component
from storm_exp.testing.toys import Value, write_value


@component("faulty", "imports_at_once", version=1)
class ImportsAtOnce:
    """A number."""

    def run(self, stage: StageContext) -> Value:
        return write_value(stage, float(numpy.float64(1)))
