//! Process life: configuration, telemetry, listeners, TLS, limits, drain.
