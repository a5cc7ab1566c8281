//! The log engine: pool, deduplicate, sequence, commit, answer, recover, read.
