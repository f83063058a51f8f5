use crate::migrate::{Advice, Linter};
use squawk_linter::{Linter as Rules, LinterSettings, Rule, Version};
use squawk_syntax::SourceFile;

/// The rules of squawk (<https://squawkhq.com/docs/rules>).
pub(crate) struct Squawk;

/// What devdb sees to itself: each run has a `lock_timeout` and one transaction where SQL allows it, what refuses
/// transactions is split off, and a file that begins or ends a transaction is not run at all. A `statement_timeout` would
/// end a long build for nobody's benefit.
const SEEN_TO: [Rule; 4] = [
    Rule::RequireTimeoutSettings,
    Rule::BanConcurrentIndexCreationInTransaction,
    Rule::BanUncommittedTransaction,
    Rule::TransactionNesting,
];

impl Linter for Squawk {
    fn lint(&self, sql: &str, in_transaction: bool) -> Vec<Advice> {
        let parsed = SourceFile::parse(sql);
        let unread = parsed.errors().into_iter().map(|error| Advice {
            offset: u32::from(error.range().start()) as usize,
            code: "syntax-error".to_owned(),
            message: error.message().to_owned(),
            help: None,
        });
        let mut rules = Rules::with_rules(&[], &SEEN_TO);
        rules.settings = LinterSettings { pg_version: Version::default(), assume_in_transaction: in_transaction };
        let found = rules.lint(&parsed, sql).into_iter().map(|violation| Advice {
            offset: u32::from(violation.text_range.start()) as usize,
            code: violation.code.to_string(),
            message: violation.message,
            help: violation.help,
        });
        let mut advice: Vec<Advice> = unread.chain(found).collect();
        advice.sort_by_key(|advice| advice.offset);
        advice
    }

    fn knows(&self, code: &str) -> bool {
        code == "syntax-error" || code.parse::<Rule>().is_ok()
    }
}
