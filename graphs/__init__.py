"""Floor 3: topologies, which nodes in which order. The only place with edges."""
