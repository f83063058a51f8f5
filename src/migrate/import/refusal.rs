/// Why the SQL that was recorded would not do what the migration does. Statements are shortened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it cannot be loaded: {0}")]
    Unreadable(String),
    /// There were no rows while it was recorded.
    #[error("it looks at the rows that a statement returns, or at how many it changed: {0}")]
    Reads(String),
    #[error("it asks for the database's tables (`db.introspection`)")]
    Introspects,
    #[error("it rolls back a transaction of its own")]
    RollsBack,
    #[error("it throws: {0}")]
    Throws(String),
    /// In the second recording: a year later, and on a database where each statement changes a row.
    #[error(
        "what it executes depends on the time, on chance or on how many rows were changed: statement {number} was {first}, then {second}"
    )]
    Differs { number: usize, first: String, second: String },
    /// What devdb says of the file.
    #[error("{0}")]
    NoScript(String),
    #[error("no SQL can hold a NUL character, which stands in this statement or its values: {0}")]
    Nul(String),
    #[error("this statement has a parameter ${number} and no value for it: {statement}")]
    NoValue { number: usize, statement: String },
}
