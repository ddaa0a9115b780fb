//! A JSON object read key by key, with the file and the key in every refusal.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::Error;

/// Largest file, in bytes: names of a million labels fit.
const MAX_BYTES: usize = 1 << 26;
/// Longest value in a message.
const MAX_SHOWN: usize = 60;

/// The keys of one file. `null` is as if the key were absent, as it is to transformers.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    file: &'static str,
    /// Before each key in messages: the table that it is in.
    within: &'static str,
    map: Map<String, Value>,
}

impl Keys {
    /// # Errors
    ///
    /// A text that is too large, nested too deep (serde_json stops at 128 levels), no JSON,
    /// or no object.
    pub(crate) fn parse(file: &'static str, text: &str) -> Result<Self, Error> {
        let wrong = |message: String| Error::Json { file, message };
        if text.len() > MAX_BYTES {
            let bytes = text.len();
            return Err(wrong(format!(
                "{bytes} bytes are too many, at most {MAX_BYTES} are read"
            )));
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Self {
                file,
                within: "",
                map,
            }),
            Ok(_) => Err(wrong("it holds no JSON object".to_owned())),
            Err(error) => Err(wrong(format!("it is not JSON: {error}"))),
        }
    }

    /// The value of a key that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Names of all keys that are there and not null.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let set = self.map.iter().filter(|(_, value)| !value.is_null());
        set.map(|(key, _)| key.as_str())
    }

    /// The table under a key; its keys are named with it in messages.
    pub(crate) fn table(&self, key: &'static str) -> Result<Option<Self>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self {
                file: self.file,
                within: key,
                map: map.clone(),
            })),
            Some(_) => Err(self.not(key, "a table")),
        }
    }

    /// A size that must be there.
    pub(crate) fn size(
        &self,
        key: &'static str,
        range: RangeInclusive<usize>,
    ) -> Result<usize, Error> {
        let file = self.file;
        self.size_if_any(key, range)?
            .ok_or(Error::Missing { file, key })
    }

    /// A size, if it is there.
    pub(crate) fn size_if_any(
        &self,
        key: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
        match size.filter(|size| range.contains(size)) {
            Some(size) => Ok(Some(size)),
            None => {
                let wanted = format!("a whole number from {} to {}", range.start(), range.end());
                Err(self.not(key, &wanted))
            }
        }
    }

    /// A finite number above 0, or `default` if it is absent.
    pub(crate) fn positive(&self, key: &str, default: f64, most: f64) -> Result<f64, Error> {
        match self.number(key)? {
            None => Ok(default),
            Some(value) if value > 0.0 && value <= most => Ok(value),
            Some(_) => Err(self.not(key, &format!("a number above 0, at most {most}"))),
        }
    }

    /// A share from 0 up to, but not including, 1, or `default` if it is absent.
    pub(crate) fn rate(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.number(key)? {
            None => Ok(default),
            Some(value) if (0.0..1.0).contains(&value) => Ok(value),
            Some(_) => Err(self.not(key, "a share from 0 up to, but not including, 1")),
        }
    }

    /// A finite number, if it is there.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.not(key, "a number")),
        }
    }

    /// A list of finite numbers, if it is there.
    pub(crate) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = |value: &Value| value.as_f64().filter(|number| number.is_finite());
        let numbers = value
            .as_array()
            .and_then(|list| list.iter().map(number).collect::<Option<Vec<_>>>());
        match numbers {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(self.not(key, "a list of numbers")),
        }
    }

    /// True or false, or `default` if it is absent.
    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.not(key, "true or false")),
        }
    }

    /// A string, if it is there.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.not(key, "a string")),
        }
    }

    /// Refuses a flag that is not as `wanted`.
    pub(crate) fn only(&self, key: &str, wanted: bool, remedy: &str) -> Result<(), Error> {
        match self.flag(key, wanted)? == wanted {
            true => Ok(()),
            false => Err(self.unsupported(key, remedy)),
        }
    }

    /// Refuses a key that is there at all, unless it holds an empty list or table.
    pub(crate) fn absent(&self, key: &str, remedy: &str) -> Result<(), Error> {
        match self.get(key) {
            None => Ok(()),
            Some(Value::Array(list)) if list.is_empty() => Ok(()),
            Some(Value::Object(map)) if map.is_empty() => Ok(()),
            Some(_) => Err(self.unsupported(key, remedy)),
        }
    }

    /// The refusal of a value that its key cannot have.
    pub(crate) fn not(&self, key: &str, wanted: &str) -> Error {
        Error::Value {
            file: self.file,
            key: self.path(key),
            value: self.shown(key),
            wanted: wanted.to_owned(),
        }
    }

    /// The refusal of a value that our layers have nothing for.
    pub(crate) fn unsupported(&self, key: &str, remedy: &str) -> Error {
        Error::Unsupported {
            file: self.file,
            key: self.path(key),
            value: self.shown(key),
            remedy: remedy.to_owned(),
        }
    }

    fn path(&self, key: &str) -> String {
        match self.within {
            "" => key.to_owned(),
            within => format!("{within}.{key}"),
        }
    }

    fn shown(&self, key: &str) -> String {
        let text = self.map.get(key).unwrap_or(&Value::Null).to_string();
        match text.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{} …", &text[..end]),
            None => text,
        }
    }
}
