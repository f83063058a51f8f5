//! As much of PostgreSQL's lexical structure as is needed to find where a statement begins and ends and what sort it is.

mod kind;
mod lexer;
mod split;

pub use kind::{IndexBuild, Refusal, StatementKind};
pub(crate) use lexer::{Token, TokenKind, tokens};
pub(crate) use split::split;
pub use split::{SplitError, Statement};
