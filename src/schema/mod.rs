//! The live definition of a database: read from its catalog, drawn, dumped.
//!
//! [`Catalog`] is the seam: each of its answers is one round trip, because the server writes all the documents itself.
//! Everything else is pure: [`dump`] gives SQL in an order that can be run,
//! [`mermaid`] and [`svg`] draw a [`Diagram`].
//!
//! PostgreSQL 14 and later.

mod catalog;
mod diagram;
mod dump;
mod dump_parts;
mod dump_relation;
mod dump_table;
mod dump_types;
mod layout;
mod mermaid;
mod model;
mod name;
mod order;
mod parts;
mod plan;
mod quote;
mod svg;

pub use catalog::{Catalog, Found, Lookup};
pub use diagram::{Diagram, DiagramRow, DiagramTable, Link};
pub use dump::{Dump, DumpError, Ledger, dump, fingerprint};
pub use mermaid::mermaid;
pub use model::{
    Database, Definition, Edge, Extension, Function, Listed, ListedType, Listing, Namespace, Refused, Relation,
    RelationKind, Server, TypeKind, UserType,
};
pub use name::{ObjectName, ObjectNameError, nearest};
pub use parts::{
    Attribute, Column, ColumnTarget, Constraint, ConstraintKind, DomainCheck, ForeignServer, Generated, Identity,
    Index, OwningColumn, Partition, Policy, RangeType, Reference, ReferencedBy, Rule, Sequence, ServerOption,
    Statistics, Trigger,
};
pub use quote::identifier;
pub use svg::svg;
