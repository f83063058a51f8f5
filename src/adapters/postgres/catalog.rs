use super::catalog_sql as sql;
use super::connect::{Session, connect};
use super::error::in_session;
use crate::connection::Connection;
use crate::schema::{
    Catalog, Database, Edge, Extension, Found, Function, Listing, Lookup, Namespace, ObjectName, Refused, Server,
};
use crate::system::{DatabaseError, Reached};
use async_trait::async_trait;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::pin::pin;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

/// The catalog of a PostgreSQL server, read as JSON that the server writes.
///
/// Each reading is one simple query with several statements, so it is one message and one answer.
pub(crate) struct PostgresCatalog {
    session: Session,
}

#[derive(Deserialize)]
struct Others {
    schemas: Vec<Namespace>,
    extensions: Vec<Extension>,
    functions: Vec<Function>,
    servers: Vec<Server>,
    refused: Vec<Refused>,
}

impl PostgresCatalog {
    /// # Errors
    /// As [`connect`].
    pub(crate) async fn connect(connection: &Connection, application_name: &str) -> Result<Self, DatabaseError> {
        Ok(Self { session: connect(connection, application_name).await? })
    }

    /// The rows of each statement that answers with rows.
    async fn ask<const N: usize>(&self, statements: &str) -> Result<[Vec<SimpleQueryRow>; N], DatabaseError> {
        let guard = self.session.cancel().on_drop();
        let answers = self.answers(statements).await;
        guard.disarm();
        <[_; N]>::try_from(answers?).map_err(|_| DatabaseError::Protocol { source: None })
    }

    async fn answers(&self, statements: &str) -> Result<Vec<Vec<SimpleQueryRow>>, DatabaseError> {
        let mut stream = pin!(self.session.client.simple_query_raw(statements).await.map_err(in_session)?);
        let mut answers: Vec<Vec<SimpleQueryRow>> = Vec::new();
        while let Some(message) = stream.next().await {
            match message.map_err(in_session)? {
                SimpleQueryMessage::RowDescription(_) => answers.push(Vec::new()),
                SimpleQueryMessage::Row(row) => {
                    if let Some(rows) = answers.last_mut() {
                        rows.push(row);
                    }
                }
                _ => {}
            }
        }
        Ok(answers)
    }
}

fn text(row: &SimpleQueryRow, column: usize) -> &str {
    row.try_get(column).ok().flatten().unwrap_or_default()
}

fn documents<T: DeserializeOwned>(rows: &[SimpleQueryRow]) -> Result<Vec<T>, DatabaseError> {
    rows.iter().map(document).collect()
}

fn document<T: DeserializeOwned>(row: &SimpleQueryRow) -> Result<T, DatabaseError> {
    serde_json::from_str(text(row, 0)).map_err(|error| DatabaseError::Protocol { source: Some(Box::new(error)) })
}

#[async_trait]
impl Catalog for PostgresCatalog {
    fn reached(&self) -> &Reached {
        &self.session.reached
    }

    async fn list(&mut self) -> Result<Listing, DatabaseError> {
        let [relations, types] = self.ask(&sql::list()).await?;
        Ok(Listing { relations: documents(&relations)?, types: documents(&types)? })
    }

    async fn find(&mut self, name: &ObjectName) -> Result<Lookup, DatabaseError> {
        let [relations, types, names] = self.ask(&sql::find(name)).await?;
        Ok(match (relations.first(), types.first()) {
            (Some(relation), _) => Lookup::Found(Found::Relation(Box::new(document(relation)?))),
            (None, Some(found)) => Lookup::Found(Found::Type(Box::new(document(found)?))),
            (None, None) => Lookup::Unknown(names.iter().map(|row| text(row, 0).to_owned()).collect()),
        })
    }

    async fn read_all(&mut self) -> Result<Database, DatabaseError> {
        let [relations, types, others, definitions, edges] = self.ask(&sql::read_all()).await?;
        let others = others.first().ok_or(DatabaseError::Protocol { source: None })?;
        let Others { schemas, extensions, functions, servers, refused } = document(others)?;
        let edges = edges.iter().map(|row| Edge { from: text(row, 0).to_owned(), to: text(row, 1).to_owned() });
        Ok(Database {
            schemas,
            extensions,
            types: documents(&types)?,
            functions,
            servers,
            relations: documents(&relations)?,
            definitions: documents(&definitions)?,
            refused,
            edges: edges.collect(),
        })
    }
}
