//! The notice board's part for databases and migrations.

use super::{CommandError, ErrorKind};
use crate::connection::{Setting, UrlError};
use crate::migrate::sql::Refusal;
use crate::migrate::{
    Failed, FailedMigration, Holder, InTheWay, LEDGER_ELSEWHERE, MigrateError, MigrationName, PlanError, Remains,
    ScriptError, SourceError, StandingIndex,
};
use crate::schema::{DumpError, ObjectNameError};
use crate::system::{DatabaseError, ServerError, TlsError, is_unseen, shell_word};

impl From<UrlError> for CommandError {
    fn from(error: UrlError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            UrlError::Scheme => shown.hint("write it as postgres://user:password@host:5432/database"),
            UrlError::Jdbc => shown.hint(
                "write it without `jdbc:`, and user and password before the host: \
                 postgres://user:password@host:5432/database",
            ),
            UrlError::Driver => shown.hint("write it as postgres://user:password@host:5432/database, without `+…`"),
            UrlError::Encoding => shown.hint("in an address, write `%` as %25, `@` as %40, `/` as %2F and `:` as %3A"),
            UrlError::SeveralHosts { .. } => shown.hint("for Aurora, name the cluster's writer endpoint"),
            UrlError::NoUser => shown.hint("write it as postgres://user@host/database, or set PGUSER"),
            UrlError::SslMode { .. } => shown.hint("use disable, prefer, require or verify-full"),
            UrlError::VerifyCa { setting } => shown.hint(format!("use {}=verify-full", setting.name())),
            UrlError::NoRootCertificate { root, .. } => {
                shown.hint(format!("add {}=FILE, for example the RDS bundle", root.name()))
            }
            UrlError::UnknownParameter { name: Some(name) } => shown.hint(format!("take `{name}` out of the address")),
            UrlError::UnknownParameter { name: None } => {
                shown.hint("take it out of the address; in a password, write `&` as %26, `?` as %3F and `/` as %2F")
            }
            UrlError::Ambiguous => {
                shown.hint("in a password, write `@` as %40, `/` as %2F and `?` as %3F; elsewhere, `@` as %40 too")
            }
            UrlError::NotHonoured { setting, .. } => shown.hint(instead_of(setting)),
            UrlError::Contradiction { first, second } => {
                shown.hint(format!("leave out `{}` or `{}`", first.name(), second.name()))
            }
            UrlError::Port { .. } | UrlError::HostAddress { .. } | UrlError::Host { .. } => shown,
        }
    }
}

impl From<DumpError> for CommandError {
    fn from(error: DumpError) -> Self {
        Self::from_error(ErrorKind::Failed, &error)
            .hint("try `pg_dump --schema-only`, which writes secrets too, and warns of what it cannot put in order")
    }
}

/// What to write where devdb cannot do as it is told.
fn instead_of(setting: Setting) -> String {
    match setting {
        Setting::Parameter("pgbouncer") => "name the database's own address (Prisma's DIRECT_URL); \
             where no pooler lies between, take `pgbouncer` out of the address"
            .to_owned(),
        Setting::Parameter("schema") => "take `schema` out of the address, and name the schema in the SQL; \
             psql knows no such parameter either"
            .to_owned(),
        Setting::Parameter("ssl") => "write sslmode=disable, require or verify-full instead of `ssl`".to_owned(),
        Setting::Parameter("sslaccept") => {
            "write sslmode=require or sslmode=verify-full instead of `sslaccept`".to_owned()
        }
        Setting::Parameter("sslrootcert") | Setting::Variable("PGSSLROOTCERT") => {
            format!("name a file: {}=FILE, for example the RDS bundle", setting.name())
        }
        Setting::Parameter(name) => format!("take `{name}` out of the address"),
        Setting::Variable("PGPASSFILE") => "set PGPASSWORD, or `unset PGPASSFILE` if no password is needed".to_owned(),
        Setting::Variable(name) => format!("`unset {name}`, or name the database with `--database-url`"),
    }
}

impl From<DatabaseError> for CommandError {
    fn from(error: DatabaseError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            DatabaseError::UnknownHost { .. } => shown.hint("check the host's name and your network"),
            DatabaseError::Refused { .. } => {
                shown.hint("start the database, or the tunnel that leads to it; or check the port")
            }
            DatabaseError::TimedOut { .. } | DatabaseError::Unreachable { .. } => {
                shown.hint("check the tunnel or the network; a security group that drops packets looks like this too")
            }
            DatabaseError::Tls(TlsError::NotOffered) => {
                shown.hint("this is probably not the database you mean; only where the network up to it is your own (a container's), add sslmode=disable to its address")
            }
            DatabaseError::Tls(TlsError::UnknownIssuer { .. }) => shown.hint(
                "name the right CA file (`ca_file` in devdb.toml, or sslrootcert); or something else answers there",
            ),
            DatabaseError::Tls(TlsError::WrongName { .. }) => {
                shown.hint("the address leads to another database than its name says; check the tunnel and the port")
            }
            DatabaseError::Tls(TlsError::Expired) => {
                shown.hint("renew the server's certificate, and check this machine's clock")
            }
            DatabaseError::Tls(TlsError::CaFile { .. }) => shown.hint("the file must hold certificates in PEM form"),
            DatabaseError::Login { .. } => {
                shown.hint("check the user and the password; a rotated secret looks like this too")
            }
            DatabaseError::Pooler { .. } => shown.hint(
                "name the database's own endpoint, for migrations alone: behind pgbouncer the server itself, behind an RDS \
                 Proxy the cluster's or the instance's endpoint, elsewhere the direct address or the port of the session mode",
            ),
            DatabaseError::Unmet { asked, .. } => {
                let name = asked.split('=').next().unwrap_or(asked);
                shown.hint(format!("take `{name}` out of the address, or name another server"))
            }
            DatabaseError::NoSuchDatabase { .. } => shown.hint("check the database's name, or create it first"),
            DatabaseError::Server(server) => {
                let mut shown = shown;
                shown.causes.extend(server.detail.clone());
                shown.hints.extend(server_hint(&server));
                shown
            }
            DatabaseError::Tls(TlsError::Failed { .. })
            | DatabaseError::Lost { .. }
            | DatabaseError::Protocol { .. } => shown,
        }
    }
}

impl From<ObjectNameError> for CommandError {
    fn from(error: ObjectNameError) -> Self {
        Self::from_error(ErrorKind::Usage, &error)
            .hint("write it as in SQL, for the shell in quotes of its own: `devdb schema 'billing.\"Order Lines\"'`")
    }
}

impl From<SourceError> for CommandError {
    fn from(error: SourceError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            SourceError::NoFolder { .. } => shown.hint(
                "make the first migration with `devdb migrate new NAME`, or set `dir` below [migrations] in devdb.toml",
            ),
            SourceError::Unreadable { .. } => shown.hint("check that you may read it"),
            SourceError::NotPlain { .. } => shown
                .hint("put the file itself in its place; what a migration runs lies in the folder of the migrations"),
            SourceError::TooLong { .. } => shown.hint("split it into several migrations, or load the rows with psql"),
            SourceError::NameNotUtf8 { .. } | SourceError::BadName { .. } => shown.hint("rename the file"),
            SourceError::Duplicate { .. } => shown.hint("keep one of them"),
            SourceError::NoUp { .. } => shown.hint("add the up file, or delete this one"),
            SourceError::Script(error) => {
                match error {
                    ScriptError::NotUtf8 { .. } | ScriptError::Nul { .. } => shown.hint("save the file as UTF-8"),
                    ScriptError::NoUpPart { .. } => {
                        shown.hint("begin the SQL with a line `-- migrate:up`, or name the file NAME.up.sql")
                    }
                    ScriptError::Empty { .. } => shown.hint("write its SQL; `select 1;` if there is nothing to do"),
                    ScriptError::Refused { refusal, others, .. } => refused(shown, refusal, &others),
                    ScriptError::CutOff { what, end, .. } => {
                        let shown = if what == "`set local`" {
                            shown.hint("write `set` instead of `set local`: devdb puts all settings back at the end of the file")
                        } else {
                            shown
                        };
                        shown.hint(format!("put the statement in line {end} into a migration of its own"))
                    }
                    ScriptError::Unterminated { .. }
                    | ScriptError::SecondPart { .. }
                    | ScriptError::BeforeFirstPart { .. }
                    | ScriptError::UnknownDirective { .. } => shown,
                }
            }
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            PlanError::Missing { .. } => shown.hint(
                "its file was renamed, deleted, or is on another branch: `devdb migrate repair` looks for it there, \
                 and shows what it would do",
            ),
            PlanError::OutOfOrder { found, .. } => shown.hint(format!(
                "`devdb migrate repair` shows how to put it right; if {} was never shared, rename it to sort last",
                shell_word(found.as_str())
            )),
            PlanError::BadTimestamp { .. } => {
                shown.hint("`devdb migrate repair` gives it the time of its place, and shows it before")
            }
            PlanError::Unknown { .. } => shown.hint("`devdb migrate status` lists the names"),
            PlanError::NoDown { name } => shown.hint(format!(
                "write {}; `select 1;` if there is nothing to undo",
                shell_word(&format!("{name}.down.sql"))
            )),
        }
    }
}

impl From<MigrateError> for CommandError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Plan(error) => error.into(),
            MigrateError::Source(error) => error.into(),
            MigrateError::Database(error) => error.into(),
            MigrateError::LockBusy { ref holder, .. } => {
                let mut shown = Self::from_error(ErrorKind::Failed, &error);
                shown.causes.extend(holder.as_ref().map(describe_holder));
                if holder.as_ref().is_some_and(|holder| holder.state.starts_with("idle")) {
                    let hint = "a run whose connection was cut holds the lock for minutes; on a terminal devdb asks whether to end your own, and `--yes` agrees";
                    shown = shown.hint(hint);
                }
                shown.hint("wait for the other run to end, then run this again; nothing was changed")
            }
            MigrateError::Failed(failed) => {
                let FailedMigration {
                    migration,
                    before,
                    direction,
                    location,
                    what: of_it,
                    remains,
                    in_the_way,
                    blockers,
                    error,
                } = *failed;
                let what = format!("migration {migration} failed ({}); {remains}", direction.word());
                let mut shown = Self::failed(what);
                shown.causes.push(format!("{location}: {error}"));
                shown.causes.push(match of_it {
                    Failed::Statement(statement) => format!("statement: {statement}"),
                    Failed::Deferred => "this was deferred, and is checked at the end of the migration".to_owned(),
                    Failed::Row => "its row could not be written to the ledger".to_owned(),
                });
                shown.causes.extend(blockers.iter().map(|blocker| format!("in the way: {blocker}")));
                let shown = explain(shown, &error, &remains, before.as_ref());
                in_the_way.iter().fold(shown, explain_what_is_in_the_way)
            }
            MigrateError::CommitFailed { remains, error } => {
                let mut shown = Self::failed(format!("the commit failed; {remains}"));
                shown.causes.push(error.to_string());
                explain(shown, &error, &remains, None)
            }
            MigrateError::LostBeforeCommit { ref remains, .. } => {
                let what = format!("the connection was lost; {remains}");
                let mut shown = Self::from_error(ErrorKind::Failed, &error);
                shown.message = what;
                shown.hint("run the same command again")
            }
            MigrateError::LedgerChanged => Self::from_error(ErrorKind::Failed, &error)
                .hint("run the same command again: it looks at the ledger first"),
            MigrateError::OutcomeUnknown { .. } => Self::from_error(ErrorKind::Failed, &error)
                .hint("`devdb migrate status` shows what is in the database, as soon as it answers again"),
        }
    }
}

/// The server's own detail and advice, and ours for the codes that a migration meets.
fn explain(
    mut shown: CommandError,
    error: &DatabaseError,
    remains: &Remains,
    before: Option<&MigrationName>,
) -> CommandError {
    if let DatabaseError::Server(server) = error {
        shown.causes.extend(server.detail.as_ref().map(|detail| format!("detail: {detail}")));
        shown.causes.extend(server.context.as_ref().map(|context| format!("context: {}", context.replace('\n', "; "))));
        shown.hints.extend(server_hint(server));
        let ours = match server.code.as_str() {
            // The second: what a `DO` block or a procedure says that would end a transaction of its caller.
            "25001" | "2D000" => Some("put `-- devdb: transaction=false` on a line of its own at the top of the file".to_owned()),
            "55P03" => Some("another session holds the table; end its transaction, or run this again later".to_owned()),
            "55P04" => Some(match before {
                Some(before) => format!(
                    "the value was added in this same transaction: run `devdb migrate to {}` first, then this again",
                    shell_word(before.as_str())
                ),
                None => "the value was added in this same transaction: put the statements that use it into the next migration".to_owned(),
            }),
            "55006" if server.message.contains("pending trigger events") => {
                Some("write `set constraints all immediate;` before this statement".to_owned())
            }
            "40P01" => Some("another session was in the way; run this again".to_owned()),
            "42501" => Some("migrate as the owner of the schema".to_owned()),
            "25006" => Some("this is a reader; migrate on the writer".to_owned()),
            "53200" if server.hint.as_ref().is_some_and(|hint| hint.contains("max_locks_per_transaction")) => {
                Some("run fewer migrations at once, for example `devdb migrate up 50`, and again".to_owned())
            }
            _ => None,
        };
        shown.hints.extend(ours);
    }
    if let Remains::Unfinished { index, .. } = remains {
        shown = shown.hint(match index {
            Some(name) => {
                let name = shell_word(name);
                format!("mend the cause and run this again: the next run drops {name} and builds it anew")
            }
            None => "look at what the statement has left before you run this again".to_owned(),
        });
    }
    match remains {
        Remains::Committed { statements, .. } | Remains::Unfinished { statements, .. } if *statements > 0 => {
            shown.hint("undo what is committed of this migration by hand, or write its statements so that they can run again (`if not exists`)")
        }
        _ => shown,
    }
}

/// What the server advises, which is none of ours to paste; unless it only repeats what we have told it to say.
fn server_hint(server: &ServerError) -> Option<String> {
    let said = |hint: &String| if hint == LEDGER_ELSEWHERE { hint.clone() } else { format!("the server says: {hint}") };
    server.hint.as_ref().map(said)
}

/// All that a file holds and devdb does not run, and the way out.
fn refused(mut shown: CommandError, refusal: Refusal, others: &[(usize, Refusal)]) -> CommandError {
    const MOST: usize = 10;
    shown.causes.extend(others.iter().take(MOST).map(|(line, refusal)| format!("line {line}: {refusal}")));
    if others.len() > MOST {
        shown.causes.push(format!("and {} more", others.len() - MOST));
    }
    let needs_psql = |refusal: &Refusal| matches!(refusal, Refusal::CopyFromStdin | Refusal::MetaCommand);
    if others.len() > 1 && needs_psql(&refusal) && others.iter().all(|(_, other)| needs_psql(other)) {
        shown = shown.hint(
            "if pg_dump has written the file, write it again as SQL alone: `pg_dump --inserts --no-owner --exclude-table='kysely_migration*' DATABASE \
             | sed -E '/^\\\\(un)?restrict /d'`",
        );
    }
    shown.hint(match refusal {
        Refusal::TransactionControl => {
            "leave it out; a line `-- devdb: transaction=false` has each statement committed by itself"
        }
        Refusal::CopyFromStdin => "write the rows as `insert into … values …`",
        Refusal::CopyToStdout => "leave it out; a migration has no output",
        Refusal::MetaCommand => "leave it out, or write the SQL that it stands for",
        Refusal::DiscardAll => "leave it out; `reset all` keeps the lock",
        Refusal::UnlockAll => "unlock what you have locked by its key, with `pg_advisory_unlock`",
    })
}

fn explain_what_is_in_the_way(mut shown: CommandError, found: &InTheWay) -> CommandError {
    match found {
        InTheWay::Index(StandingIndex { name, definition, .. }) => {
            shown.causes.push(format!(
                "a valid index of that name stands on that table already, probably from an interrupted run: {definition}"
            ));
            // The server has quoted the name as SQL wants it; what cannot be seen in it cannot be pasted either.
            let drop = match name.chars().any(|letter| is_unseen(letter) || letter == '`') {
                false => format!("`drop index concurrently {name}`"),
                true => "drop it".to_owned(),
            };
            shown.hint(format!(
                "if that is the index you want, write `if not exists` into the statement; if not, {drop}; then run this again"
            ))
        }
        InTheWay::Perhaps => shown.hint(
            "if an interrupted run has done this already, write `if not exists` into the statement, or undo it by hand; \
             then run this again",
        ),
    }
}

/// Who holds the lock, in one line.
pub(crate) fn describe_holder(holder: &Holder) -> String {
    let name = if holder.application_name.is_empty() { "a session without a name" } else { &holder.application_name };
    format!("{name} (user {}, server process {}, {}, since {})", holder.user, holder.pid, holder.state, holder.since)
}
