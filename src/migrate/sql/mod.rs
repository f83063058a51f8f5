//! As much of PostgreSQL's lexical structure as is needed to find where a statement begins and ends and what sort it is.

mod kind;
mod lexer;
mod lock;
mod scope;
mod split;
mod words;

pub use kind::{IndexBuild, Refusal, StatementKind};
pub(crate) use lexer::{Lexer, Token, TokenKind, Unterminated, identifier, is_line_end, tokens};
pub use lock::TableLock;
pub(crate) use lock::{relation_locks, table_lock};
pub use scope::Scope;
pub(crate) use scope::{SavepointChange, commits_within, is_block, may_move_sequences, savepoint};
pub use split::Statement;
#[cfg(test)]
pub(crate) use split::split;
pub(crate) use split::{Reading, read};
pub(crate) use words::Words;
