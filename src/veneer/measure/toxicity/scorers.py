"""From a study's settings to a scorer."""

from __future__ import annotations

from pathlib import Path

from veneer.measure.toxicity.kept import Kept
from veneer.measure.toxicity.scores import Scorer, lexicon
from veneer.measure.toxicity.settings import ToxicitySettings


def scorer_of(
    settings: ToxicitySettings,
    *,
    words: str | Path,
    kept: Kept | None = None,
    device: str = "auto",
    requests_per_minute: float | None = None,
) -> Scorer:
    """The scorer that settings name.

    Args:
        words: the lexicon's file.
        kept: an open file of a service's scores; None opens the user's own for each call.
        device: of a classifier.
        requests_per_minute: a service's limit where it is known; else it is learned.

    Raises:
        InputError: no such file or model, an address that is none, or a key that is not set.
    """
    if settings.scorer == "lexicon":
        return lexicon(words)
    if settings.scorer == "classifier":
        from veneer.measure.toxicity.classifier import Classifier

        return Classifier(settings.model, settings.revision, settings.label, device)
    from veneer.measure.toxicity.service import Service, ServiceScorer

    service: Service
    if settings.scorer == "comments":
        from veneer.measure.toxicity.comments import Comments

        service = Comments(settings.base_url, settings.key, settings.attributes)
    else:
        from veneer.measure.toxicity.moderation import Moderation

        service = Moderation(settings.model, settings.base_url, settings.key, settings.attributes)
    return ServiceScorer(service, kept, requests_per_minute=requests_per_minute)
