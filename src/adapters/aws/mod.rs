//! AWS through its SDK. Foreign types stop here; what AWS documents as present and leaves out is an error.

#[cfg(feature = "aws")]
mod cloud;
#[cfg(feature = "aws")]
mod instances;
#[cfg(feature = "aws")]
mod inventory;
#[cfg(feature = "aws")]
mod key_pairs;
mod keys;
#[cfg(feature = "aws")]
mod load;
#[cfg(feature = "aws")]
mod rules;
mod secrets;
mod token;
mod translate;

pub(crate) use keys::AwsKeys;
#[cfg(feature = "aws")]
pub(crate) use load::AwsAdapter;
