//! Documents: what a request says and an answer holds, apart from how it is encoded.
//!
//! A document that was decoded has the types of its schema, and the accessors read its members by name. Whether a member
//! is there at all, and within its bounds, the validation has looked at before.

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// An integer of 32 or 64 bits.
    Integer(i64),
    /// Text.
    String(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// A moment, in milliseconds since 1970.
    Timestamp(i64),
    /// Values in their order.
    List(Vec<Value>),
    /// Values by names that the caller chose, in the order in which they came.
    Map(Vec<(String, Value)>),
    /// Values by names of the model.
    Structure(Structure),
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Boolean(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Value {
        Value::Integer(i64::from(value))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::String(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::String(value.to_owned())
    }
}

impl From<Structure> for Value {
    fn from(value: Structure) -> Value {
        Value::Structure(value)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

/// Named values of the model; members that are not there were not given.
///
/// ```
/// use millrace_kinesis::{Structure, Value};
/// let request = Structure::new().with("StreamName", "clicks").with("ShardCount", 4_u32);
/// assert_eq!(request.str("StreamName"), Some("clicks"));
/// assert_eq!(request.integer("ShardCount"), Some(4));
/// assert_eq!(request.str("StreamARN"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Structure(Vec<(&'static str, Value)>);

impl Structure {
    /// One without members.
    #[must_use]
    pub fn new() -> Structure {
        Structure::default()
    }

    /// The same with a member more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Structure {
        self.insert(name, value);
        self
    }

    /// The same with a member more where there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Structure {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sets a member; of two values the later one counts, as in JSON.
    pub fn insert(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// All members that were given.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// A member that is text.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A member that is an integer.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A member that is yes or no; absent is no.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Boolean(true)))
    }

    /// A member that is a moment, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Timestamp(ms)) => Some(*ms),
            _ => None,
        }
    }

    /// A member that is bytes.
    #[must_use]
    pub fn blob(&self, name: &str) -> Option<&[u8]> {
        match self.get(name) {
            Some(Value::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// A member that is a list; absent is empty.
    #[must_use]
    pub fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }

    /// The strings of a member that is a list of them.
    pub fn strings(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The structures of a member that is a list of them.
    pub fn structures(&self, name: &str) -> impl Iterator<Item = &Structure> {
        self.list(name).iter().filter_map(|value| match value {
            Value::Structure(inner) => Some(inner),
            _ => None,
        })
    }

    /// A member that is a structure.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<&Structure> {
        match self.get(name) {
            Some(Value::Structure(inner)) => Some(inner),
            _ => None,
        }
    }

    /// The names and texts of a member that is a map of strings; absent is empty.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries: &[(String, Value)] = match self.get(name) {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        };
        entries.iter().filter_map(|(key, value)| match value {
            Value::String(text) => Some((key.as_str(), text.as_str())),
            _ => None,
        })
    }
}
