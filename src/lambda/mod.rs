//! The side door: the same migrations, run by a Lambda function while a stack is deployed.
//!
//! [`parse`] reads an event and [`Settings`] say what it is about (both pure); [`Handler`] connects, lets the engine of
//! [`crate::migrate`] work and stops it before the deadline; [`body`] writes what CloudFormation wants to hear (pure).
//! [`run`] is the loop around them: it takes events from Lambda's Runtime API and delivers the answers.
//!
//! Three kinds of callers come through it: a raw custom resource, whose answer goes to a URL; CDK's provider framework,
//! which takes a value or an error; and `aws lambda invoke` with `{"target": "latest"}`, which gets Kysely's result set.
//!
//! CloudFormation waits for an hour where it hears nothing, so whatever happens ends in an answer.

mod answer;
mod cutoff;
mod deliver;
mod event;
mod handler;
mod reason;
mod rollback;
mod serve;
mod settings;
mod world;

pub use answer::{Answer, Data, LONGEST_BODY, NOT_CREATED, Outcome, Reply, body, physical_id};
pub use event::{Door, Envelope, Event, Kind, Malformed, Request, ResponseUrl, parse};
pub use handler::Handler;
pub use serve::{ServeError, run};
pub use settings::{Downs, PROPERTIES, Settings, SettingsError, Wanted};
pub use world::{Keys, World};
