use super::{Database, Listing, ObjectName, Relation, UserType};
use crate::system::{DatabaseError, Reached};
use async_trait::async_trait;

/// What stands under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Relation(Box<Relation>),
    Type(Box<UserType>),
}

/// The answer to a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    Found(Found),
    /// Nothing stands there; every name that could have been meant, as it would have to be typed.
    Unknown(Vec<String>),
}

/// Reads a database's catalog.
///
/// Each method is one read-only transaction and one round trip, whatever the size of the schema. Names are shown as the
/// session's search path allows, except by [`Self::read_all`].
#[async_trait]
pub trait Catalog: Send {
    fn reached(&self) -> &Reached;

    /// All relations and types with rows and sizes; without the system's own and without what extensions brought.
    async fn list(&mut self) -> Result<Listing, DatabaseError>;

    /// One relation or type, found as PostgreSQL finds it: along the search path, unless a schema is named.
    async fn find(&mut self, name: &ObjectName) -> Result<Lookup, DatabaseError>;

    /// The whole schema, every name with its own schema in front.
    async fn read_all(&mut self) -> Result<Database, DatabaseError>;
}
