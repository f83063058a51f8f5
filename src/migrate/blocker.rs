use serde::Serialize;
use std::fmt;

/// A session that was in the way while a run waited for a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The server process; 0 stands for a transaction that was prepared (PostgreSQL documentation, `pg_blocking_pids`).
    pub pid: i32,
    /// The process that waits for it; none: the run itself.
    pub stops: Option<i32>,
    pub user: String,
    pub application_name: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// When its transaction began; as the server writes it.
    pub since: String,
    /// Its locks on what is waited for: `share on orders`, or `waits for share on orders`; empty where that is no relation.
    pub locks: String,
    /// The first words of its query. The rest may hold what is nobody's business.
    pub query: String,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, user, application_name, state, since, .. } = self;
        if *pid == 0 {
            return f.write_str("a prepared transaction (pg_prepared_xacts knows it)");
        }
        let name = if application_name.is_empty() { "a session without a name" } else { application_name };
        write!(f, "{name} (user {user}, server process {pid}, {state}, since {since}")?;
        for more in [&self.locks, &self.query].into_iter().filter(|more| !more.is_empty()) {
            write!(f, ", {more}")?;
        }
        match self.stops {
            Some(stopped) => write!(f, ") stops process {stopped}"),
            None => f.write_str(")"),
        }
    }
}

/// The first words of a query, as far as they can be no secret: key words and names, up to the first constant.
pub fn first_words(query: &str) -> String {
    const WORDS: usize = 3;
    let is_letter =
        |letter: char| letter.is_alphabetic() || matches!(letter, '_' | '"' | '.') || letter.is_ascii_digit();
    let is_word = |word: &&str| {
        word.starts_with(|first: char| first.is_alphabetic() || matches!(first, '_' | '"'))
            && word.chars().all(is_letter)
    };
    let words: Vec<&str> = query.split_whitespace().take(WORDS).take_while(is_word).collect();
    let is_whole = words.len() == query.split_whitespace().count();
    if words.is_empty() || is_whole { words.join(" ") } else { format!("{} …", words.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_before_anything_that_could_be_a_secret() {
        for (query, shown) in [
            ("lock table orders", "lock table orders"),
            ("select id, name from orders", "select …"),
            ("update orders set name = 'x'", "update orders set …"),
            ("alter role app password 'hunter2'", "alter role app …"),
            ("set app.token to hunter2", "set app.token to …"),
            ("select 'hunter2'", "select …"),
            ("select 4111111111111111", "select …"),
            ("/* token=abc */ select 1", ""),
            ("<insufficient privilege>", ""),
            ("", ""),
        ] {
            assert_eq!(first_words(query), shown, "{query}");
        }
    }
}
