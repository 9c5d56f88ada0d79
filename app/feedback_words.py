"""What was said of runs, in a few words."""

from observability.feedback import USER_SCORE, Feedback, Rating


def told(one: Feedback) -> str:
    """Return what somebody said, or that it is a signal, in words that nobody can say."""
    if one.signal:
        return f"signal: {one.signal}"
    return score_told(one.score) or ("correction" if one.correction else "comment")


def score_told(score: float | None) -> str:
    """Return a score as people read it."""
    return "" if score is None else {0.0: "thumbs down", 1.0: "thumbs up"}.get(score, f"{score:.2g}")


def rating_told(rating: Rating | None) -> str:
    """Return what was said of a run, in a few characters."""
    if rating is None:
        return ""
    score = "" if rating.score is None else f"{rating.score:.2g}"
    said = score or ("comment" if rating.people else "")
    return " ".join(filter(None, (said, *rating.signals)))


def said_of(one: Feedback) -> str:
    """Return who said what, in one piece; a signal is of nobody."""
    if one.signal:
        return told(one)
    correction = f"it should be: {one.correction}" if one.correction else None
    parts = filter(None, (score_told(one.score), one.comment, correction))
    key = "" if one.key == USER_SCORE else f" ({one.key})"
    return f"{one.given_by} said: {'; '.join(parts)}{key}"
