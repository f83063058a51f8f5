use super::to::RunArgs;
use crate::commands::context::Context;
use crate::commands::database;
use crate::config::EnvironmentKind;
use crate::error::CommandError;
use crate::migrate::repair::{Limits, Repairer, Replay};
use crate::migrate::{FileHistory, FolderSource, MigrationDatabase, Options};
use std::sync::Arc;
use std::time::Duration;

/// What the verbs that mend the ledger work with.
pub(super) struct Workbench {
    source: FolderSource,
    history: Arc<dyn FileHistory>,
    alias: String,
    options: Options,
    session: Box<dyn MigrationDatabase>,
    kind: EnvironmentKind,
}

impl Workbench {
    pub(super) async fn open(context: &Context, args: &RunArgs) -> Result<Self, CommandError> {
        let settings = database::migration_settings(context)?;
        let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
        let history = context.host().tools.file_history(&settings.dir);
        let (connection, provenance) = database::connection(context, &args.database).await?;
        let lock_timeout = Duration::from_secs(args.lock_timeout);
        let session = database::migration_database(context, &connection, &provenance, lock_timeout).await?;
        let options = Options {
            allow_unordered: settings.allow_unordered,
            lock_wait: Duration::from_secs(args.lock_wait),
            history: Some(history.clone()),
            ..Options::default()
        };
        let alias = database::own_alias(context).unwrap_or_default();
        Ok(Self { source, history, alias, options, session, kind: database::kind(context)? })
    }

    pub(super) fn kind(&self) -> EnvironmentKind {
        self.kind
    }

    pub(super) fn limits(&self) -> Limits {
        let replay = match self.kind {
            EnvironmentKind::Personal => Replay::Anybodys,
            EnvironmentKind::Shared => Replay::Mine,
            EnvironmentKind::Protected => Replay::Never,
        };
        Limits { replay, strategy: None }
    }

    pub(super) fn parts(&mut self) -> (Repairer<'_>, &mut dyn MigrationDatabase) {
        let repairer = Repairer {
            source: &self.source,
            history: self.history.as_ref(),
            alias: &self.alias,
            options: self.options.clone(),
        };
        (repairer, self.session.as_mut())
    }
}
