//! What relations and types are made of. Definitions are written by the server (`pg_get_constraintdef` and its like).

use serde::{Deserialize, Serialize};

/// When a generated column is computed. The letters are those of `pg_attribute.attgenerated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generated {
    #[serde(rename(deserialize = "s", serialize = "stored"))]
    Stored,
    #[serde(rename(deserialize = "v", serialize = "virtual"))]
    Virtual,
}

/// The letters are those of `pg_attribute.attidentity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    #[serde(rename(deserialize = "a", serialize = "always"))]
    Always,
    #[serde(rename(deserialize = "d", serialize = "by_default"))]
    ByDefault,
}

/// How a sequence counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    #[serde(rename = "type")]
    pub sequence_type: String,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    /// The sequence of an identity column is named here.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub owned_by: Option<OwningColumn>,
    #[serde(default)]
    pub is_identity: bool,
    /// Of an identity column's sequence.
    #[serde(default, skip_serializing)]
    pub oid: Option<u32>,
    /// Of an identity column's sequence, and none before PostgreSQL 15, where each is permanent.
    #[serde(default, skip_serializing)]
    pub persistence: Option<char>,
    #[serde(default, skip_serializing)]
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwningColumn {
    pub table: String,
    pub column: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    pub not_null: bool,
    /// Of a generated column, its expression.
    pub default: Option<String>,
    #[serde(skip_serializing)]
    pub default_oid: Option<u32>,
    pub generated: Option<Generated>,
    pub identity: Option<Identity>,
    pub identity_options: Option<Sequence>,
    /// Only where it is not the type's own.
    pub collation: Option<String>,
    /// `p` plain, `e` external, `m` main, `x` extended; only where it is not the type's own.
    pub storage: Option<char>,
    /// The type's own.
    #[serde(skip_serializing)]
    pub usual_storage: char,
    /// `p` pglz, `l` lz4.
    pub compression: Option<char>,
    pub statistics: Option<i32>,
    pub options: Vec<String>,
    pub foreign_options: Vec<ServerOption>,
    /// False for what comes from a parent alone.
    pub is_local: bool,
    pub comment: Option<String>,
}

/// The letters are those of `pg_constraint.contype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    #[serde(rename(deserialize = "p", serialize = "primary_key"))]
    PrimaryKey,
    #[serde(rename(deserialize = "u", serialize = "unique"))]
    Unique,
    #[serde(rename(deserialize = "x", serialize = "exclusion"))]
    Exclusion,
    #[serde(rename(deserialize = "f", serialize = "foreign_key"))]
    ForeignKey,
    #[serde(rename(deserialize = "c", serialize = "check"))]
    Check,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub kind: ConstraintKind,
    pub definition: String,
    pub columns: Vec<String>,
    pub references: Option<Reference>,
    pub is_local: bool,
    /// The parent's own constraint, repeated on a partition.
    pub is_inherited: bool,
    pub is_validated: bool,
    pub is_clustered: bool,
    pub is_replica_identity: bool,
    /// Storage parameters of its index, which the definition leaves out.
    pub index_options: Vec<String>,
    #[serde(skip_serializing)]
    pub index_name: Option<String>,
    #[serde(skip_serializing)]
    pub index_parent: Option<String>,
    /// Of its index.
    pub tablespace: Option<String>,
    #[serde(skip_serializing)]
    pub index_comment: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub schema: String,
    pub name: String,
    #[serde(rename(serialize = "sql_name"))]
    pub shown: String,
    pub columns: Vec<String>,
}

/// A foreign key of another table that leads here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencedBy {
    pub table: String,
    pub name: String,
    pub definition: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    #[serde(skip_serializing)]
    pub shown: String,
    pub definition: String,
    /// The definition as people read it, the table's name without its schema.
    #[serde(skip_serializing)]
    pub short: String,
    pub is_unique: bool,
    pub is_primary: bool,
    pub is_valid: bool,
    #[serde(skip_serializing)]
    pub is_partitioned: bool,
    pub tablespace: Option<String>,
    pub is_clustered: bool,
    pub is_replica_identity: bool,
    /// The constraint that it serves.
    pub constraint: Option<String>,
    /// The partitioned index that it belongs to.
    pub parent: Option<String>,
    pub statistics: Vec<ColumnTarget>,
    pub size_bytes: Option<i64>,
    pub comment: Option<String>,
}

/// A statistics target of an index's expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnTarget {
    pub number: i16,
    pub target: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub definition: String,
    /// `O` in ordinary sessions, `D` disabled, `R` in replicas, `A` always.
    pub enabled: char,
    pub is_inherited: bool,
    /// The trigger of the table that this one's is a partition of.
    #[serde(skip_serializing)]
    pub parent: Option<u32>,
    #[serde(skip_serializing)]
    pub parent_enabled: Option<char>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub is_permissive: bool,
    /// `r` select, `a` insert, `w` update, `d` delete, `*` all.
    pub command: char,
    /// Quoted where they must be; empty for everybody.
    pub roles: Vec<String>,
    pub using: Option<String>,
    pub check: Option<String>,
    pub comment: Option<String>,
}

impl Policy {
    pub fn command_word(&self) -> &'static str {
        match self.command {
            'r' => "SELECT",
            'a' => "INSERT",
            'w' => "UPDATE",
            'd' => "DELETE",
            _ => "ALL",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub definition: String,
    pub enabled: char,
    pub comment: Option<String>,
}

/// Extended statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub definition: String,
    pub target: Option<i32>,
    pub comment: Option<String>,
}

/// A partition, or a table that inherits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub name: String,
    pub kind: super::RelationKind,
    pub bound: Option<String>,
}

/// Where a foreign table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignServer {
    pub name: String,
    pub options: Vec<ServerOption>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerOption {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainCheck {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub definition: String,
    pub is_validated: bool,
    pub comment: Option<String>,
}

/// A field of a composite type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub name: String,
    #[serde(rename = "type")]
    pub attribute_type: String,
    pub collation: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeType {
    pub subtype: String,
    pub opclass: Option<String>,
    pub collation: Option<String>,
    pub canonical: Option<String>,
    pub difference: Option<String>,
    pub multirange: Option<String>,
}
