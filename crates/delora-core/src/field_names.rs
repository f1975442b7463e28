//! The names of a struct's fields, from what it asks a deserializer for.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// Has no values; keeps the names that it is asked for.
struct Asked<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("there are no values"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The names of the fields that a struct reads, aliases among them; empty where `T` is no struct, or has a flattened part.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // It fails, having asked.
    let _ = T::deserialize(Asked(&mut names));
    names
}

#[cfg(test)]
mod tests {
    use crate::methods::find_method;

    #[test]
    fn settings_that_are_absent_by_default_are_named_too() {
        let names = |name| find_method(name).unwrap().setting_names();
        assert_eq!(names("lora"), ["rank", "alpha"]);
        assert_eq!(names("dora"), ["rank", "alpha"]);
        assert_eq!(names("loreft"), ["rank", "layers", "first_tokens", "last_tokens"]);
        assert!(names("full").is_empty());
    }
}
