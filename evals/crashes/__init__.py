"""Kills an agent at every boundary of its work, lets fresh workers recover it, and counts what went wrong.

A boundary is the moment before or after an SQL statement, an effect outside, or a call of the model. Every
worker is a process of its own and dies by `os._exit`; Postgres, HTTP and the graphs are real.
"""
