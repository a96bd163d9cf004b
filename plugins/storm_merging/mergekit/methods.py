"""One component for each of mergekit's methods on task vectors (fine-tuned model - base)."""

from __future__ import annotations

from typing import Any, ClassVar

from storm_exp import component, setting
from storm_merging.mergekit.task_vectors import (
    DellaTaskVectors,
    MergekitMerger,
    OutlierTaskVectors,
    RandomTaskVectors,
    TaskVectors,
)

PACKAGES = ("torch", "mergekit")


@component("merger", "ties", version=1, requires=PACKAGES, extra="merge")
class Ties(TaskVectors):
    """TIES (Yadav et al. 2023, arXiv 2306.01708): the largest changes, where their signs agree.

    The authors use a density of 0.2.
    """

    method: ClassVar[str] = "ties"

    normalise: bool = True


@component("merger", "dare_ties", version=1, requires=PACKAGES, extra="merge")
class DareTies(RandomTaskVectors):
    """DARE (Yu et al. 2023, arXiv 2311.03099): randomly kept changes, where their signs agree."""

    method: ClassVar[str] = "dare_ties"


@component("merger", "dare_linear", version=1, requires=PACKAGES, extra="merge")
class DareLinear(RandomTaskVectors):
    """DARE (Yu et al. 2023, arXiv 2311.03099): the sum of randomly kept changes."""

    method: ClassVar[str] = "dare_linear"


@component("merger", "della", version=1, requires=PACKAGES, extra="merge")
class Della(DellaTaskVectors):
    """DELLA (Deep et al. 2024, arXiv 2406.11617): random changes, larger ones with a higher
    probability, where their signs agree."""

    method: ClassVar[str] = "della"

    normalise: bool = True


@component("merger", "della_linear", version=1, requires=PACKAGES, extra="merge")
class DellaLinear(DellaTaskVectors):
    """DELLA (Deep et al. 2024, arXiv 2406.11617) without the comparison of signs."""

    method: ClassVar[str] = "della_linear"


@component("merger", "breadcrumbs", version=1, requires=PACKAGES, extra="merge")
class Breadcrumbs(OutlierTaskVectors):
    """Model Breadcrumbs (Davari and Belilovsky 2023, arXiv 2312.06795): the sum of changes without
    the largest and smallest."""

    method: ClassVar[str] = "breadcrumbs"


@component("merger", "breadcrumbs_ties", version=1, requires=PACKAGES, extra="merge")
class BreadcrumbsTies(OutlierTaskVectors):
    """Model Breadcrumbs (Davari and Belilovsky 2023, arXiv 2312.06795), where signs agree."""

    method: ClassVar[str] = "breadcrumbs_ties"


@component("merger", "model_stock", version=1, requires=PACKAGES, extra="merge")
class ModelStock(MergekitMerger):
    """Model Stock (Jang et al. 2024, arXiv 2403.19522): a point between the base and the models'
    mean, chosen by the angles between task vectors."""

    method: ClassVar[str] = "model_stock"
    min_models: ClassVar[int] = 2

    filter_wise: bool = False
    """Use a separate angle for each row of a matrix."""

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters."""
        return {"filter_wise": self.filter_wise}


@component("merger", "sce", version=1, requires=PACKAGES, extra="merge")
class Sce(MergekitMerger):
    """SCE (Wan et al. 2024, arXiv 2408.07990): select, calculate, erase.

    Uses the changes of the highest variance between models, weighted by their squares, where signs
    agree.
    """

    method: ClassVar[str] = "sce"

    share: float = setting(1.0, above=0, at_most=1)
    """Share of the changes to keep, those of the highest variance."""

    def parameters(self, count: int) -> dict[str, Any]:
        """Return mergekit's parameters."""
        return {"select_topk": self.share}
