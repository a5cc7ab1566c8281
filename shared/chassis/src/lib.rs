//! Process life, the same for every service: configuration, telemetry, listeners, TLS, limits, drain.
//!
//! A process is five steps, and each is a module:
//!
//! 1. [`config`]: a YAML file and the environment become one typed value, or an error with line, column and excerpt;
//! 2. [`listen`]: the sockets of all services are bound before anything is served;
//! 3. [`service`]: a name, a listener, a router, what makes it ready, how it finishes;
//! 4. [`process`]: serve all of them, beside an [`admin`] listener for health, metrics and the log filter;
//! 5. on SIGTERM or Ctrl-C: drain them in order within one grace time, and say how it ended.
//!
//! For what happens inside a request see [`layers`]; for outgoing calls [`http_client`]; for what people read
//! [`reason`] (one line, in a body) and [`report`] (three parts, on a terminal).

pub mod admin;
mod client;
pub mod config;
pub mod crypto;
pub mod fuzz;
pub mod layers;
pub mod listen;
mod peer;
pub mod process;
pub mod ready;
pub mod reason;
pub mod report;
mod serve;
pub mod service;
pub mod telemetry;
mod tls;

pub use client::{ClientError, http_client, http_client_builder};
pub use peer::{ClientAddress, Network, NetworkError};
pub use process::{Ended, Process, Shutdown};
pub use ready::{Gate, ReadyCheck};
pub use report::Explain;
pub use serve::Limits;
pub use service::Service;
pub use tls::TlsError;
