"""The command `doctor`: what is there, what is missing, what to do about it."""


def doctor() -> None:
    """Check the database, pgvector, the model, the embeddings, disk and versions, and say what to do."""
