//! Promotions over a store, files and bundles that are all real.

mod copying;
mod crashing;
mod denying;
mod racing;
mod world;
