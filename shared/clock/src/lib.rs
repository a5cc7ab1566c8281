//! What time it is, a manual clock for tests, and the rule for clocks that step back.
