//! AWS through its SDK. Foreign types stop here; what AWS documents as present and leaves out is an error.

mod cloud;
mod instances;
mod inventory;
mod key_pairs;
mod load;
mod rules;
mod secrets;
mod token;
mod translate;

pub(crate) use load::AwsAdapter;
