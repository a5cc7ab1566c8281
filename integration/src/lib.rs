//! Black-box tests and benchmarks: released clients against the built binary.
