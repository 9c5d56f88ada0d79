"""The parts that make a machine with nothing installed enough: a Postgres, a language model, embeddings.

All of it is the extra `local`; nothing outside this package imports what that extra installs.
"""
