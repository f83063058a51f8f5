//! As much of PostgreSQL's lexical structure as is needed to find where a statement begins and ends and what sort it is.

mod kind;
mod lexer;
mod lock;
mod split;
mod words;

pub use kind::{IndexBuild, Refusal, StatementKind};
pub(crate) use lexer::{Token, TokenKind, Unterminated, tokens};
pub use lock::TableLock;
pub(crate) use lock::{relation_locks, table_lock};
pub(crate) use split::split;
pub use split::{SplitError, Statement};
pub(crate) use words::Words;
