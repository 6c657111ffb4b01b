//! A change of the shard map that is damaged: told, and never a wrong map.
