//! What is counted, labelled with the origin of the log that was seen. Refusals are counted by the layers.

use metrics::{counter, gauge};

const COSIGNED: &str = "chancery_witness_cosigned_total";
const FORKS: &str = "chancery_witness_forks_total";

/// Makes every series visible from the start: an alarm on the first fork needs the zero before it.
pub(crate) fn announce(origin: &str) {
    counter!(COSIGNED, "log" => origin.to_owned()).increment(0);
    counter!(FORKS, "log" => origin.to_owned()).increment(0);
}

/// A checkpoint that was cosigned.
pub(crate) fn cosigned(origin: &str, size: u64) {
    counter!(COSIGNED, "log" => origin.to_owned()).increment(1);
    gauge!("chancery_witness_size", "log" => origin.to_owned()).set(size as f64);
}

/// Two trees of one size, both signed by the log; must stay 0.
pub(crate) fn fork(origin: &str) {
    counter!(FORKS, "log" => origin.to_owned()).increment(1);
}
