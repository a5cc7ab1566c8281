//! Test doubles and fixtures. A dev-dependency only.
