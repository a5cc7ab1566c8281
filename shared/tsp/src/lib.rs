//! RFC 3161 requests, responses and tokens. Pure; lives on der 0.7.
