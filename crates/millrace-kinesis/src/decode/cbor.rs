//! Requests in CBOR, read by their schema straight from the bytes: of known and of unknown length, as the Java clients
//! send them.

use ciborium_ll::{Decoder, Error, Header, simple, tag};

use super::convert::{Scalar, convert, list_not_expected, map_not_expected};
use super::{Fault, Format, IGNORED_DEPTH_MAX, Walk};
use crate::schema::{Shape, ShapeId};
use crate::value::{Structure, Value};

/// The tag of a moment.
const EPOCH: u64 = 1;
/// How many bytes are copied at a time out of a string.
const PART_BYTES: usize = 4_096;

pub(super) fn decode(walk: &Walk, shape: ShapeId, body: &[u8]) -> Result<Option<Value>, Fault> {
    let mut reader = Reader { walk, cbor: Decoder::from(body), length: body.len() };
    let header = reader.pull()?;
    let value = reader.value(shape, header)?;
    if reader.cbor.offset() == body.len() { Ok(value) } else { Err(Fault::Malformed) }
}

struct Reader<'w, 'b> {
    walk: &'w Walk,
    cbor: Decoder<&'b [u8]>,
    length: usize,
}

impl<T> From<Error<T>> for Fault {
    fn from(_: Error<T>) -> Fault {
        Fault::Malformed
    }
}

impl Reader<'_, '_> {
    fn pull(&mut self) -> Result<Header, Fault> {
        Ok(self.cbor.pull()?)
    }

    /// One value of a shape whose header was read; `None` is null.
    fn value(&mut self, shape: ShapeId, header: Header) -> Result<Option<Value>, Fault> {
        self.walk.take()?;
        match header {
            Header::Simple(simple::NULL | simple::UNDEFINED) => Ok(None),
            Header::Array(length) => self.list(shape, length).map(Some),
            Header::Map(length) => self.map(shape, length).map(Some),
            header => self.scalar(shape, header).map(Some),
        }
    }

    fn scalar(&mut self, shape: ShapeId, header: Header) -> Result<Value, Fault> {
        let shape = self.walk.schema.shape(shape);
        let convert = |scalar: &Scalar<'_>| convert(shape, scalar, Format::Cbor);
        match header {
            Header::Positive(value) => convert(&Scalar::Integer(i64::try_from(value).unwrap_or(i64::MAX))),
            // The number is -1 - value.
            Header::Negative(value) => convert(&Scalar::Integer(!i64::try_from(value).unwrap_or(i64::MAX))),
            Header::Float(value) => convert(&Scalar::Float(value)),
            Header::Simple(simple::TRUE) => convert(&Scalar::Boolean(true)),
            Header::Simple(simple::FALSE) => convert(&Scalar::Boolean(false)),
            Header::Text(length) => convert(&Scalar::Text(&self.text(length)?)),
            Header::Bytes(length) => convert(&Scalar::Bytes(&self.bytes(length)?)),
            Header::Tag(EPOCH) => {
                let ms = self.milliseconds()?;
                convert(&Scalar::Time(ms))
            }
            Header::Tag(tag::BIGPOS | tag::BIGNEG) => Err(Fault::Type("a number of more than 64 bits".to_owned())),
            _ => Err(Fault::Malformed),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a conversion of a float saturates, which is what is asked for"
    )]
    fn milliseconds(&mut self) -> Result<i64, Fault> {
        match self.pull()? {
            Header::Positive(value) => Ok(i64::try_from(value).unwrap_or(i64::MAX)),
            Header::Negative(value) => Ok(!i64::try_from(value).unwrap_or(i64::MAX)),
            Header::Float(value) => Ok(value.floor() as i64),
            _ => Err(Fault::Malformed),
        }
    }

    fn list(&mut self, shape: ShapeId, length: Option<usize>) -> Result<Value, Fault> {
        let Shape::List { member, .. } = self.walk.schema.shape(shape) else { return Err(list_not_expected()) };
        let mut values = Vec::new();
        let mut items = Items::new(length);
        while let Some(header) = items.next(self)? {
            values.extend(self.value(*member, header)?);
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, shape: ShapeId, length: Option<usize>) -> Result<Value, Fault> {
        let mut items = Items::new(length);
        match self.walk.schema.shape(shape) {
            Shape::Structure(members) => {
                let mut structure = Structure::new();
                while let Some(header) = items.next(self)? {
                    let name = self.key(header)?;
                    let header = self.pull()?;
                    match members.iter().find(|member| member.name == name) {
                        None => self.ignore(header, IGNORED_DEPTH_MAX)?,
                        Some(member) => {
                            if let Some(value) = self.value(member.shape, header)? {
                                structure.insert(member.name, value);
                            }
                        }
                    }
                }
                Ok(Value::Structure(structure))
            }
            Shape::Map { value, .. } => {
                let mut map = Vec::new();
                while let Some(header) = items.next(self)? {
                    let key = self.key(header)?;
                    let header = self.pull()?;
                    map.extend(self.value(*value, header)?.map(|value| (key, value)));
                }
                Ok(Value::Map(map))
            }
            _ => Err(map_not_expected()),
        }
    }

    fn key(&mut self, header: Header) -> Result<String, Fault> {
        match header {
            Header::Text(length) => self.text(length),
            _ => Err(Fault::Malformed),
        }
    }

    /// Passes over a value that the schema does not have.
    fn ignore(&mut self, header: Header, depth_left: usize) -> Result<(), Fault> {
        let depth_left = depth_left.checked_sub(1).ok_or(Fault::Malformed)?;
        match header {
            Header::Break => Err(Fault::Malformed),
            Header::Text(length) => self.text(length).map(drop),
            Header::Bytes(length) => self.bytes(length).map(drop),
            Header::Tag(_) => {
                let tagged = self.pull()?;
                self.ignore(tagged, depth_left)
            }
            Header::Array(length) => {
                let mut items = Items::new(length);
                while let Some(header) = items.next(self)? {
                    self.ignore(header, depth_left)?;
                }
                Ok(())
            }
            Header::Map(length) => {
                let mut items = Items::new(length);
                while let Some(header) = items.next(self)? {
                    self.ignore(header, depth_left)?;
                    let value = self.pull()?;
                    self.ignore(value, depth_left)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, length: Option<usize>) -> Result<String, Fault> {
        self.check_length(length)?;
        let mut text = String::new();
        let mut part = [0; PART_BYTES];
        let mut segments = self.cbor.text(length);
        while let Some(mut segment) = segments.pull()? {
            while let Some(piece) = segment.pull(&mut part)? {
                text.push_str(piece);
            }
        }
        Ok(text)
    }

    fn bytes(&mut self, length: Option<usize>) -> Result<Vec<u8>, Fault> {
        self.check_length(length)?;
        let mut bytes = Vec::with_capacity(length.unwrap_or(0));
        let mut part = [0; PART_BYTES];
        let mut segments = self.cbor.bytes(length);
        while let Some(mut segment) = segments.pull()? {
            while let Some(piece) = segment.pull(&mut part)? {
                bytes.extend_from_slice(piece);
            }
        }
        Ok(bytes)
    }

    /// A length that goes behind the body would be set aside before that is noticed.
    fn check_length(&mut self, length: Option<usize>) -> Result<(), Fault> {
        let left = self.length.saturating_sub(self.cbor.offset());
        if length.is_some_and(|length| length > left) { Err(Fault::Malformed) } else { Ok(()) }
    }
}

/// The items of an array or the keys of a map, of known or unknown number.
struct Items {
    left: Option<usize>,
}

impl Items {
    fn new(length: Option<usize>) -> Items {
        Items { left: length }
    }

    /// The header of the next one.
    fn next(&mut self, reader: &mut Reader<'_, '_>) -> Result<Option<Header>, Fault> {
        match &mut self.left {
            Some(0) => Ok(None),
            Some(left) => {
                *left -= 1;
                reader.pull().map(Some)
            }
            None => Ok(match reader.pull()? {
                Header::Break => None,
                header => Some(header),
            }),
        }
    }
}
