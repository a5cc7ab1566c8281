//! Promotion: an image and everything attached to it, from one repository to another, under the target's policy.

mod report;

pub use report::{AttestationCount, Destination, Promotion, PromotionRequest, PromotionState, Source, Unverified};
