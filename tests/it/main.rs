//! The one integration binary. `sealed` commands run in this process with fakes; real services come with their tests.

mod config;
mod tidy;
