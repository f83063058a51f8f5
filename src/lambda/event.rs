use serde_json::{Map, Value};
use std::fmt;
use zeroize::Zeroizing;

/// Where CloudFormation waits for the answer. Whoever has the URL can answer in our place, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseUrl(Zeroizing<String>);

impl ResponseUrl {
    /// The URL itself; whoever calls this decides where it goes.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Scheme and host: enough to find out what stands in the way.
    pub fn place(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0[host..].find(['/', '?', '#']).map_or(self.0.len(), |at| host + at);
        &self.0[..end]
    }
}

impl fmt::Debug for ResponseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseUrl({}/…)", self.place())
    }
}

/// What CloudFormation knows its request by; every answer repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub response_url: ResponseUrl,
    pub stack_id: String,
    pub request_id: String,
    pub logical_id: String,
}

/// Who waits for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// CloudFormation itself.
    CloudFormation(Envelope),
    /// CDK's provider framework, which keeps the URL to itself: the event has `...` in its place (aws-cdk,
    /// `custom-resources/lib/provider-framework/runtime/framework.ts`).
    Framework,
}

/// `RequestType`, and the id that our own earlier answer gave the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Create,
    Update { physical_id: String },
    Delete { physical_id: String },
}

/// A custom resource is to be made, changed or removed (CloudFormation user guide, "Custom resource request reference").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub door: Door,
    pub kind: Kind,
    pub properties: Map<String, Value>,
}

/// What the function was invoked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Resource(Request),
    /// `{"target": "latest"}`: `latest`, `none` or a name, as for `devdb migrate to`.
    Direct {
        target: String,
    },
}

/// An event that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub reason: String,
    /// Somebody waits all the same, and the id that the resource has.
    pub reply: Option<Box<(Envelope, Option<String>)>>,
}

/// Reads an event. Where it goes is read first and loosely, so that an event that makes no sense is answered too.
///
/// # Errors
/// [`Malformed`].
pub fn parse(bytes: &[u8]) -> Result<Event, Malformed> {
    let unanswered = |reason: &str| Malformed { reason: reason.to_owned(), reply: None };
    let event: Value = serde_json::from_slice(bytes).map_err(|_| unanswered("the event is not JSON"))?;
    let Value::Object(mut event) = event else { return Err(unanswered("the event is not a JSON object")) };
    let text = |name: &str| event.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    if ["RequestType", "ResponseURL", "StackId"].iter().all(|name| !event.contains_key(*name)) {
        return match (text("target"), event.len()) {
            (Some(target), 1) => Ok(Event::Direct { target }),
            _ => Err(unanswered("the event is neither CloudFormation's nor {\"target\": \"latest\"}")),
        };
    }
    let physical_id = text("PhysicalResourceId");
    let door = match (event.get("ResponseURL"), text("ResponseURL")) {
        (None, _) => Door::Framework,
        (_, Some(sanitized)) if sanitized == "..." => Door::Framework,
        (_, Some(url)) if url.starts_with("https://") || url.starts_with("http://") => Door::CloudFormation(Envelope {
            response_url: ResponseUrl(Zeroizing::new(url)),
            stack_id: text("StackId").ok_or_else(|| unanswered("the event has no StackId"))?,
            request_id: text("RequestId").ok_or_else(|| unanswered("the event has no RequestId"))?,
            logical_id: text("LogicalResourceId").ok_or_else(|| unanswered("the event has no LogicalResourceId"))?,
        }),
        // Nothing is done whose end could not be told.
        (Some(_), _) => return Err(unanswered("ResponseURL is no address of the web")),
    };
    let malformed = |reason: String| {
        let envelope = match &door {
            Door::CloudFormation(envelope) => Some(Box::new((envelope.clone(), physical_id.clone()))),
            Door::Framework => None,
        };
        Malformed { reason, reply: envelope }
    };
    let known = || physical_id.clone().ok_or_else(|| malformed("the event has no PhysicalResourceId".to_owned()));
    let kind = match text("RequestType").as_deref() {
        Some("Create") => Kind::Create,
        Some("Update") => Kind::Update { physical_id: known()? },
        Some("Delete") => Kind::Delete { physical_id: known()? },
        Some(_) => return Err(malformed("RequestType is neither Create nor Update nor Delete".to_owned())),
        None => return Err(malformed("the event has no RequestType".to_owned())),
    };
    let properties = match (event.remove("ResourceProperties"), &kind) {
        (Some(Value::Object(properties)), _) => properties,
        // What cannot be read is nothing to be removed.
        (None, _) | (_, Kind::Delete { .. }) => Map::new(),
        (Some(_), _) => return Err(malformed("ResourceProperties is not an object".to_owned())),
    };
    Ok(Event::Resource(Request { door, kind, properties }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn create() -> Value {
        json!({
            "RequestType": "Create", "ResponseURL": "https://bucket.s3/key?signature=canary", "StackId": "arn:stack",
            "RequestId": "r1", "LogicalResourceId": "Migrations", "ResourceType": "Custom::Migrations",
            "ResourceProperties": { "Host": "h" },
        })
    }

    fn read(event: &Value) -> Result<Event, Malformed> {
        parse(event.to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut event = create();
        event[name] = value;
        event
    }

    fn without(name: &str) -> Value {
        let mut event = create();
        event.as_object_mut().unwrap().remove(name);
        event
    }

    #[test]
    fn the_three_doors_are_told_apart() {
        let Ok(Event::Resource(Request { door: Door::CloudFormation(envelope), kind: Kind::Create, properties })) =
            read(&create())
        else {
            panic!()
        };
        assert_eq!((envelope.stack_id.as_str(), envelope.request_id.as_str()), ("arn:stack", "r1"));
        assert_eq!(properties["Host"], "h");
        for event in [without("ResponseURL"), with("ResponseURL", json!("..."))] {
            assert!(matches!(read(&event), Ok(Event::Resource(Request { door: Door::Framework, .. }))));
        }
        assert_eq!(read(&json!({ "target": "none" })), Ok(Event::Direct { target: "none".into() }));
    }

    #[test]
    fn the_url_is_never_shown() {
        let shown = format!("{:?}", read(&create()));
        assert!(shown.contains("https://bucket.s3/…") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn an_event_without_sense_is_answered_where_it_says_where() {
        let senseless = [
            with("RequestType", json!("Destroy")),
            with("RequestType", json!(7)),
            without("RequestType"),
            with("ResourceProperties", json!("Host")),
            with("RequestType", json!("Update")),
        ];
        for event in senseless {
            let malformed = read(&event).unwrap_err();
            let (envelope, physical_id) = *malformed.reply.unwrap();
            assert_eq!((envelope.request_id.as_str(), physical_id), ("r1", None));
        }
        let unanswerable = [without("StackId"), without("RequestId"), with("LogicalResourceId", json!(null))];
        let nowhere = [json!(7), json!(""), json!(null), json!("bucket.s3/key")].map(|url| with("ResponseURL", url));
        for event in
            unanswerable.into_iter().chain(nowhere).chain([json!([]), json!({}), json!({ "target": "a", "b": 1 })])
        {
            assert_eq!(read(&event).unwrap_err().reply, None);
        }
        assert_eq!(parse(b"{").unwrap_err().reason, "the event is not JSON");
    }

    #[test]
    fn what_cannot_be_read_is_still_deleted() {
        let mut event = with("RequestType", json!("Delete"));
        event["PhysicalResourceId"] = "id".into();
        event["ResourceProperties"] = json!([1]);
        let Ok(Event::Resource(Request { kind, properties, .. })) = read(&event) else { panic!() };
        assert_eq!((kind, properties.len()), (Kind::Delete { physical_id: "id".into() }, 0));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,60}", name in "[A-Z][a-zA-Z]{0,8}") {
            let _ = parse(text.as_bytes());
            let _ = read(&with(&name, text.clone().into()));
            let url = ResponseUrl(Zeroizing::new(text));
            prop_assert!(url.reveal().starts_with(url.place()));
        }
    }
}
