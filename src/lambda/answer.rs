use super::{Door, Envelope};
use crate::connection::Connection;
use crate::system::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The most that CloudFormation reads of an answer, in bytes (user guide, "Custom resource response reference").
pub const LONGEST_BODY: usize = 4096;

/// The most of an error that a caller of the function hears, in bytes as JSON. CDK's provider framework puts it between
/// its own words and a stack trace, cuts nothing, and CloudFormation refuses all of an answer that is too long (aws-cdk,
/// `provider-framework/runtime/cfn-response.ts`).
pub(super) const LONGEST_RAISED: usize = 1536;

/// The most that a physical id may have, in bytes (the same page).
const LONGEST_ID: usize = 1024;

/// The id of a resource that could not be made. CloudFormation sends a Delete for it next, and that touches nothing.
pub const NOT_CREATED: &str = "devdb-migrations:not-created";

/// What `Fn::GetAtt` reads from the resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// How many migrations this event ran or undid.
    pub applied: usize,
    /// The migration that was executed last; empty where there is none.
    pub current: String,
    /// How many migrations the ledger holds.
    pub ledger_count: usize,
}

impl Data {
    /// Texts, as CloudFormation wants them.
    fn to_json(&self) -> Value {
        json!({
            "Applied": self.applied.to_string(),
            "Current": self.current,
            "LedgerCount": self.ledger_count.to_string(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// No data where nothing was looked at.
    Success {
        data: Option<Data>,
        note: Option<String>,
    },
    Failed {
        reason: String,
    },
}

/// What a custom resource hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub physical_id: String,
    pub outcome: Outcome,
}

impl Answer {
    pub(super) fn failed(physical_id: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { physical_id: physical_id.into(), outcome: Outcome::Failed { reason: reason.into() } }
    }

    pub(super) fn success(physical_id: impl Into<String>, data: Option<Data>, note: Option<String>) -> Self {
        Self { physical_id: physical_id.into(), outcome: Outcome::Success { data, note } }
    }

    /// For the log.
    pub(super) fn told(&self) -> String {
        match &self.outcome {
            Outcome::Success { data, note } => {
                let data = data.as_ref().map(|data| {
                    let Data { applied, current, ledger_count } = data;
                    format!(": {applied} done, {ledger_count} in the ledger, the last is `{current}`")
                });
                let note = note.as_ref().map(|note| format!("; {note}"));
                format!("SUCCESS{}{}", data.unwrap_or_default(), note.unwrap_or_default())
            }
            Outcome::Failed { reason } => format!("FAILED: {reason}"),
        }
    }
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To the response URL; the invocation itself succeeds with it.
    Put(Envelope, Answer),
    /// To whoever invoked the function.
    Return(Value),
    /// The same, as the function's error.
    Raise(String),
}

impl Reply {
    pub(super) fn to(door: Door, answer: Answer) -> Self {
        match (door, answer) {
            (Door::CloudFormation(envelope), answer) => Self::Put(envelope, answer),
            (Door::Framework, Answer { outcome: Outcome::Failed { reason }, .. }) => Self::Raise(reason),
            (Door::Framework, Answer { physical_id, outcome: Outcome::Success { data, .. } }) => {
                Self::Return(json!({ "PhysicalResourceId": physical_id, "Data": data.as_ref().map(Data::to_json) }))
            }
        }
    }
}

/// Tells one database's migrations from another's, and stays the same for as long as they are the same ones.
pub fn physical_id(connection: &Connection, schema: Option<&str>) -> String {
    let host = connection.host.trim_end_matches('.').to_ascii_lowercase();
    let id = format!("devdb-migrations:{host}/{}/{}", connection.database, schema.unwrap_or("public"));
    if id.len() <= LONGEST_ID {
        return id;
    }
    format!("devdb-migrations:{}", hex(&Sha256::digest(id.as_bytes())))
}

/// The answer as CloudFormation reads it, in at most [`LONGEST_BODY`] bytes: a reason that is too long is cut, its end
/// (`log`, where to read on) is not.
pub fn body(envelope: &Envelope, answer: &Answer, log: &str) -> Vec<u8> {
    let (status, reason, data) = match &answer.outcome {
        Outcome::Success { data, note } => ("SUCCESS", note.clone().unwrap_or_default(), data.as_ref()),
        Outcome::Failed { reason } => ("FAILED", reason.clone(), None),
    };
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("Status", status.into());
    put("PhysicalResourceId", answer.physical_id.clone().into());
    put("StackId", envelope.stack_id.clone().into());
    put("RequestId", envelope.request_id.clone().into());
    put("LogicalResourceId", envelope.logical_id.clone().into());
    if let Some(data) = data {
        put("Data", data.to_json());
    }
    put("Reason", "".into());
    let written = |body: &Map<String, Value>| serde_json::to_vec(body).unwrap_or_default();
    let end = if log.is_empty() || reason.is_empty() { String::new() } else { format!(" ({log})") };
    let room = LONGEST_BODY.saturating_sub(written(&body).len() + escaped(&end));
    if !reason.is_empty() {
        body.insert("Reason".to_owned(), format!("{}{end}", cut(&reason, room)).into());
    } else {
        body.remove("Reason");
    }
    written(&body)
}

/// How many bytes a text takes between JSON's quotes.
fn escaped(text: &str) -> usize {
    serde_json::to_string(text).map_or(0, |quoted| quoted.len() - 2)
}

/// The beginning of a text, in so many bytes between JSON's quotes.
pub(super) fn cut(text: &str, room: usize) -> String {
    if escaped(text) <= room {
        return text.to_owned();
    }
    let mut taken = String::new();
    let mut left = room.saturating_sub('…'.len_utf8());
    for letter in text.chars() {
        let size = escaped(letter.encode_utf8(&mut [0; 4]));
        if size > left {
            break;
        }
        left -= size;
        taken.push(letter);
    }
    taken + "…"
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Request, parse};
    use super::*;
    use crate::connection::Tls;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        let event = json!({
            "RequestType": "Create", "ResponseURL": "https://bucket.s3/key?canary", "StackId": "arn:aws:cloudformation:stack",
            "RequestId": "5d47", "LogicalResourceId": "Migrations",
        });
        let Ok(Event::Resource(Request { door: Door::CloudFormation(envelope), .. })) =
            parse(event.to_string().as_bytes())
        else {
            panic!()
        };
        envelope
    }

    fn connection(host: &str, database: &str) -> Connection {
        Connection {
            host: host.into(),
            hostaddr: None,
            port: 5432,
            user: "u".into(),
            database: database.into(),
            password: None,
            tls: Tls::Disable,
            demands: crate::connection::Demands::default(),
        }
    }

    #[test]
    fn an_id_says_what_it_is_and_fits() {
        assert_eq!(
            physical_id(&connection("Shop.Cluster-X.", "shop"), None),
            "devdb-migrations:shop.cluster-x/shop/public"
        );
        assert_eq!(physical_id(&connection("h", "shop"), Some("billing")), "devdb-migrations:h/shop/billing");
        let long = physical_id(&connection("h", &"x".repeat(2000)), None);
        assert!(long.len() <= LONGEST_ID && long != physical_id(&connection("h", &"x".repeat(2001)), None));
    }

    #[test]
    fn an_answer_is_what_cloudformation_reads() {
        let data = Data { applied: 2, current: "20260301_x".into(), ledger_count: 7 };
        let success = Answer::success("id", Some(data), None);
        let read = |answer: &Answer| -> Value {
            serde_json::from_slice(&body(&envelope(), answer, "log group g, stream s")).unwrap()
        };
        let shown = [read(&success), read(&Answer::failed("id", "m/x.sql:14: no such \"thing\""))]
            .map(|value| serde_json::to_string_pretty(&value).unwrap());
        insta::assert_snapshot!(shown.join("\n"));
    }

    proptest! {
        #[test]
        fn a_body_always_fits_and_is_json(reason in "\\PC{1,6000}|[\"\\\\\\n]{1,6000}|[é日😀]{1,3000}", log in "[a-z\"/]{0,80}") {
            let bytes = body(&envelope(), &Answer::failed("id", reason.clone()), &log);
            prop_assert!(bytes.len() <= LONGEST_BODY);
            let read: Value = serde_json::from_slice(&bytes).unwrap();
            let said = read["Reason"].as_str().unwrap();
            let end = if log.is_empty() { String::new() } else { format!(" ({log})") };
            let said = said.strip_suffix(&end).unwrap();
            match said.strip_suffix('…').filter(|_| said != reason) {
                // Not a letter less than there is room for.
                Some(begin) => prop_assert!(reason.starts_with(begin) && bytes.len() > LONGEST_BODY - 12),
                None => prop_assert_eq!(said, reason),
            }
        }
    }
}
