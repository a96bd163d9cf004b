"""What may stand behind verbs that take a model, or another stage of the latest run."""

from __future__ import annotations

from storm_inference.targets.target import LATEST, is_artifact, is_model


def latest_models(words: list[str]) -> list[str]:
    """Return the stages of the latest run that are models, for the first word."""
    places = () if words else LATEST.glob("*")
    return [place.name for place in places if place.is_symlink() and is_model(place)]


def latest_stages(words: list[str]) -> list[str]:
    """Return the stages of the latest run, for the first word."""
    places = () if words else LATEST.glob("*")
    return [place.name for place in places if place.is_symlink() and is_artifact(place.resolve())]


def behind_env(words: list[str]) -> list[str]:
    """Return what may stand behind `env`: an action, then environments to create."""
    from storm_inference.environments.verb import known_environments

    if not words:
        return ["ls", "create"]
    return list(known_environments()) if words[0] == "create" else []
