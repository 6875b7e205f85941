"""The judging step as a test or a process of its own runs it."""

from types import SimpleNamespace

from veneer.measure.judging import judged


def job(out, answers, against, url, means=None, **settings):
    settings = {"model": "openai:judge", "tone": True, **settings}
    inputs = {"answers": answers}
    if against is not None:
        inputs["against"] = against
    out.mkdir()
    return SimpleNamespace(
        out=out,
        inputs=inputs,
        params={
            "subject": {"model": "student", "role": "student", "base": "b", "tokens": 5},
            "against": "teacher",
            "settings": settings,
            "endpoint": {"model": "judge", "base_url": url},
        },
        means=means or {"key": "NO_KEY", "concurrency": 8},
        progress=lambda *told: None,
    )


def run(*args, **settings):
    judged(job(*args, **settings))
