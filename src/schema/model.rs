use super::parts::{
    Attribute, Column, Constraint, DomainCheck, ForeignServer, Index, Partition, Policy, RangeType, ReferencedBy, Rule,
    Sequence, ServerOption, Statistics, Trigger,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a relation is. The letters are those of `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    #[serde(rename(deserialize = "r", serialize = "table"))]
    Table,
    #[serde(rename(deserialize = "p", serialize = "partitioned_table"))]
    PartitionedTable,
    #[serde(rename(deserialize = "v", serialize = "view"))]
    View,
    #[serde(rename(deserialize = "m", serialize = "materialized_view"))]
    MaterializedView,
    #[serde(rename(deserialize = "f", serialize = "foreign_table"))]
    ForeignTable,
    #[serde(rename(deserialize = "S", serialize = "sequence"))]
    Sequence,
}

impl RelationKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::PartitionedTable => "partitioned table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::ForeignTable => "foreign table",
            Self::Sequence => "sequence",
        }
    }
}

impl fmt::Display for RelationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What sort of type somebody made. The letters are those of `pg_type.typtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    #[serde(rename(deserialize = "e", serialize = "enum"))]
    Enum,
    #[serde(rename(deserialize = "d", serialize = "domain"))]
    Domain,
    #[serde(rename(deserialize = "c", serialize = "composite"))]
    Composite,
    #[serde(rename(deserialize = "r", serialize = "range"))]
    Range,
}

impl TypeKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Enum => "enum",
            Self::Domain => "domain",
            Self::Composite => "composite",
            Self::Range => "range",
        }
    }
}

/// A relation as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub schema: String,
    pub name: String,
    /// Quoted where it must be, with its schema where the search path does not lead there.
    #[serde(rename(serialize = "sql_name"))]
    pub shown: String,
    pub kind: RelationKind,
    /// The table that this one is a partition of.
    pub partition_of: Option<String>,
    /// The table whose column owns this sequence.
    pub owned_by: Option<String>,
    /// An estimate: what the statistics collector or the last ANALYZE knows. None where nobody knows.
    pub rows: Option<i64>,
    /// With indexes and TOAST; of a partitioned table, with its partitions.
    pub size_bytes: Option<i64>,
    pub comment: Option<String>,
}

/// A type as a list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedType {
    pub schema: String,
    pub name: String,
    #[serde(rename(serialize = "sql_name"))]
    pub shown: String,
    pub kind: TypeKind,
}

/// `devdb schema`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Listing {
    pub relations: Vec<Listed>,
    pub types: Vec<ListedType>,
}

/// The complete definition of a table, view or sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub schema: String,
    pub name: String,
    #[serde(rename(serialize = "sql_name"))]
    pub shown: String,
    pub kind: RelationKind,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: char,
    pub is_partition: bool,
    /// Only where it is not `heap`.
    pub access_method: Option<String>,
    /// Only where it is not the database's own.
    pub tablespace: Option<String>,
    /// The rule that holds a view's query.
    #[serde(skip_serializing)]
    pub rule: Option<u32>,
    pub comment: Option<String>,
    /// Storage parameters, each as `name=value`.
    pub options: Vec<String>,
    pub row_security: bool,
    pub force_row_security: bool,
    /// `d` by primary key, `f` the full row, `n` nothing, `i` by an index.
    pub replica_identity: char,
    pub partition_key: Option<String>,
    pub partition_bound: Option<String>,
    pub of_type: Option<String>,
    /// The query of a view.
    #[serde(rename(serialize = "definition"))]
    pub view: Option<String>,
    /// False for a materialized view without data.
    pub is_populated: bool,
    pub server: Option<ForeignServer>,
    pub sequence: Option<Sequence>,
    /// What it inherits from, or is a partition of.
    pub parents: Vec<String>,
    pub children: Vec<Partition>,
    pub columns: Vec<Column>,
    pub constraints: Vec<Constraint>,
    pub referenced_by: Vec<ReferencedBy>,
    pub indexes: Vec<Index>,
    pub triggers: Vec<Trigger>,
    pub policies: Vec<Policy>,
    pub rules: Vec<Rule>,
    pub statistics: Vec<Statistics>,
    pub rows: Option<i64>,
    pub size_bytes: Option<i64>,
}

/// A type that somebody made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserType {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub schema: String,
    pub name: String,
    #[serde(rename(serialize = "sql_name"))]
    pub shown: String,
    pub kind: TypeKind,
    pub comment: Option<String>,
    /// Of an enum, in their order.
    pub labels: Vec<String>,
    /// Of a domain.
    pub base: Option<String>,
    pub not_null: bool,
    pub default: Option<String>,
    pub collation: Option<String>,
    pub constraints: Vec<DomainCheck>,
    /// Of a composite type.
    pub attributes: Vec<Attribute>,
    pub range: Option<RangeType>,
    /// The columns of this type, as `table.column`.
    pub used_by: Vec<String>,
}

/// A whole schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Database {
    pub schemas: Vec<Namespace>,
    pub extensions: Vec<Extension>,
    pub types: Vec<UserType>,
    pub functions: Vec<Function>,
    pub servers: Vec<Server>,
    pub relations: Vec<Relation>,
    pub definitions: Vec<Definition>,
    /// What the catalog has and no dump may show.
    pub refused: Vec<Refused>,
    #[serde(skip)]
    pub edges: Vec<Edge>,
}

/// One object needs the other. Both are a letter for the catalog and the oid: `r123` a relation, `f456` a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub schema: String,
    pub is_relocatable: bool,
    pub comment: Option<String>,
    /// The comment that it comes with.
    #[serde(skip_serializing)]
    pub usual_comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub schema: String,
    /// With its argument types.
    #[serde(rename(serialize = "signature"))]
    pub name: String,
    /// As `COMMENT ON` wants it, with the names and modes of the arguments.
    #[serde(skip_serializing)]
    pub identity: String,
    /// `f` function, `p` procedure, `w` window function.
    pub kind: char,
    pub definition: String,
    pub comment: Option<String>,
}

/// A foreign server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    #[serde(skip_serializing)]
    pub oid: u32,
    pub name: String,
    pub wrapper: String,
    #[serde(rename = "type")]
    pub server_type: Option<String>,
    pub version: Option<String>,
    pub options: Vec<ServerOption>,
    pub comment: Option<String>,
}

/// An object that SQL makes in one go: a collation, an aggregate, an operator, an event trigger and their like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    #[serde(skip_serializing)]
    pub key: String,
    /// The group that a dump would like it in.
    #[serde(skip_serializing)]
    pub group: u8,
    /// What it is and how it is called, as `COMMENT ON` wants it.
    pub object: String,
    pub sql: String,
    pub comment: Option<String>,
}

/// An object that no dump may show, or that no SQL makes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What it is and how it is called.
    pub object: String,
    pub reason: String,
    /// What a change of it changes.
    #[serde(skip_serializing)]
    pub definition: Option<String>,
}
