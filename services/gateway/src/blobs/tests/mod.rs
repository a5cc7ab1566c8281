//! Blobs as their users see them, on files.

mod faults;
mod filling;
mod parts;
mod reading;
mod support;
mod uploads;
