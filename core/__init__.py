"""Floor 0: settings, errors, state channels, run context, Protocols, models, database, migrations.

Nothing here knows of a node, a tool or a graph.
"""
