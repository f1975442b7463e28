//! The part of Python's pickle in which PyTorch writes state dicts, read as data.
//!
//! A pickle is a program for a machine with a stack. Of its instructions those are known that make texts, numbers, tuples,
//! lists and dicts, and of the classes that they may name, those of tensors and dicts; any other class stays a name, and
//! nothing is ever called. Reference: CPython's `pickletools`, PyTorch's `torch/serialization.py` and `torch/_utils.py`.

use std::collections::HashMap;

use safetensors::Dtype;

/// A tensor of a state dict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pickled {
    pub name: String,
    pub storage: Storage,
    /// Values in front of its first one.
    pub offset: usize,
    pub shape: Vec<i64>,
    /// In values.
    pub strides: Vec<i64>,
}

/// What tensors share: values in a member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    pub key: String,
    pub dtype: Dtype,
}

/// A value's place among all that were made: values refer to one another, in circles too.
type Id = usize;

#[derive(Debug, Clone)]
enum Value {
    /// None, a number with a fraction, or an object of no interest.
    Other,
    Int(i64),
    Text(String),
    /// A tuple or a list.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module.name`.
    Global(String),
    Storage(Storage),
    Tensor {
        storage: Storage,
        offset: usize,
        shape: Vec<i64>,
        strides: Vec<i64>,
    },
}

/// The tensors of the dict that `bytes` pickles; other values of it are left out.
///
/// Errors say what is not as PyTorch writes it.
pub(super) fn state_dict(bytes: &[u8]) -> Result<Vec<Pickled>, String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    while machine.step()? {}
    let root = machine.pop()?;
    let Value::Dict(items) = &machine.values[root] else {
        return Err("is no dict of tensors".to_owned());
    };
    let named =
        items.iter().filter_map(|&(key, value)| match (&machine.values[key], &machine.values[value]) {
            (Value::Text(name), Value::Tensor { storage, offset, shape, strides }) => Some(Pickled {
                name: name.clone(),
                storage: storage.clone(),
                offset: *offset,
                shape: shape.clone(),
                strides: strides.clone(),
            }),
            _ => None,
        });
    let tensors: Vec<Pickled> = named.collect();
    if tensors.is_empty() {
        let keys = items.iter().filter_map(|&(key, _)| machine.text(key).ok());
        let keys: Vec<String> = keys.take(5).map(|key| format!("`{key}`")).collect();
        return Err(format!("is a dict without tensors, of {}", keys.join(", ")));
    }
    Ok(tensors)
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    place: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; false at the last one.
    fn step(&mut self) -> Result<bool, String> {
        let instruction = self.byte()?;
        match instruction {
            b'.' => return Ok(false),
            0x80 => _ = self.byte()?,                      // PROTO
            0x95 => _ = self.take(8)?,                     // FRAME
            b'(' => self.marks.push(self.stack.len()),     // MARK
            b'0' => _ = self.pop()?,                       // POP
            b'N' | 0x88 | 0x89 => self.push(Value::Other), // NONE, NEWTRUE, NEWFALSE
            b'G' => {
                self.take(8)?; // BINFLOAT
                self.push(Value::Other);
            }
            b'K' => self.int(1)?, // BININT1
            b'M' => self.int(2)?, // BININT2
            b'J' => {
                let bytes = self.take(4)?.try_into().expect("four are taken");
                self.push(Value::Int(i64::from(i32::from_le_bytes(bytes)))); // BININT
            }
            0x8a => self.long()?,
            0x8c | b'U' => self.string(1)?, // SHORT_BINUNICODE, SHORT_BINSTRING
            b'X' | b'T' => self.string(4)?, // BINUNICODE, BINSTRING
            b')' | b']' => self.push(Value::Sequence(Vec::new())), // EMPTY_TUPLE, EMPTY_LIST
            b'}' => self.push(Value::Dict(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(instruction - 0x84))?; // TUPLE1 to TUPLE3
                self.push(Value::Sequence(items));
            }
            b't' | b'l' => {
                let items = self.pop_mark()?; // TUPLE, LIST
                self.push(Value::Sequence(items));
            }
            b'a' => {
                let item = self.pop()?; // APPEND
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?; // APPENDS
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?; // SETITEM
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?; // SETITEMS
                self.set_items(&items)?;
            }
            b'q' => self.remember(1)?, // BINPUT
            b'r' => self.remember(4)?, // LONG_BINPUT
            0x94 => {
                let (key, top) = (self.memo.len() as u32, self.top()?); // MEMOIZE
                self.memo.insert(key, top);
            }
            b'h' => self.recall(1)?, // BINGET
            b'j' => self.recall(4)?, // LONG_BINGET
            b'c' => {
                let global = format!("{}.{}", self.line()?, self.line()?); // GLOBAL
                self.push(Value::Global(global));
            }
            0x93 => {
                let name = self.pop_many(2)?; // STACK_GLOBAL
                let global = format!("{}.{}", self.text(name[0])?, self.text(name[1])?);
                self.push(Value::Global(global));
            }
            b'Q' => {
                let id = self.pop()?; // BINPERSID
                let storage = self.storage(id)?;
                self.push(Value::Storage(storage));
            }
            b'R' => {
                let call = self.pop_many(2)?; // REDUCE
                let value = self.reduce(call[0], call[1])?;
                self.push(value);
            }
            0x81 => {
                self.pop_many(2)?; // NEWOBJ
                self.push(Value::Other);
            }
            b'b' => _ = self.pop()?, // BUILD: an object's attributes, such as a state dict's metadata
            other => {
                return Err(format!(
                    "has the pickle instruction {other:#04x}, which state dicts do not need"
                ));
            }
        }
        Ok(true)
    }

    /// What calling a class or function with arguments would give.
    fn reduce(&self, function: Id, arguments: Id) -> Result<Value, String> {
        let Value::Global(name) = &self.values[function] else { return Ok(Value::Other) };
        let arguments = self.sequence(arguments)?;
        match (name.as_str(), arguments) {
            ("collections.OrderedDict", _) => Ok(Value::Dict(Vec::new())),
            ("torch.Size", [sizes]) => Ok(self.values[*sizes].clone()),
            ("torch._utils._rebuild_parameter", [tensor, ..]) => Ok(self.values[*tensor].clone()),
            (
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                [storage, offset, shape, strides, ..],
            ) => {
                let Value::Storage(storage) = &self.values[*storage] else {
                    return Err("has a tensor without a storage".to_owned());
                };
                let offset = usize::try_from(self.integer(*offset)?).map_err(|error| error.to_string())?;
                let (shape, strides) = (self.integers(*shape)?, self.integers(*strides)?);
                Ok(Value::Tensor { storage: storage.clone(), offset, shape, strides })
            }
            _ => Ok(Value::Other),
        }
    }

    /// The storage that a tuple `('storage', class, key, device, number of values)` describes.
    fn storage(&self, id: Id) -> Result<Storage, String> {
        let [_, class, key, ..] = self.sequence(id)? else {
            return Err("refers to something that is no storage".to_owned());
        };
        let Value::Global(class) = &self.values[*class] else {
            return Err("has a storage without a class".to_owned());
        };
        let dtype = match class.rsplit_once('.').map_or(class.as_str(), |(_, name)| name) {
            "DoubleStorage" => Dtype::F64,
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::BOOL,
            _ => return Err(format!("has a storage of the class `{class}`")),
        };
        Ok(Storage { key: self.text(*key)?.to_owned(), dtype })
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "takes from an empty stack".to_owned())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "looks at an empty stack".to_owned())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(count);
        Ok(self.stack.split_off(start.ok_or_else(|| "takes from an empty stack".to_owned())?))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| "has no mark where it takes up to one".to_owned())?))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        if let Value::Sequence(list) = &mut self.values[list] {
            list.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.top()?;
        if let Value::Dict(dict) = &mut self.values[dict] {
            dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        }
        Ok(())
    }

    fn sequence(&self, id: Id) -> Result<&[Id], String> {
        match &self.values[id] {
            Value::Sequence(items) => Ok(items),
            _ => Err("has no tuple where one is needed".to_owned()),
        }
    }

    fn text(&self, id: Id) -> Result<&str, String> {
        match &self.values[id] {
            Value::Text(text) => Ok(text),
            _ => Err("has no text where one is needed".to_owned()),
        }
    }

    fn integer(&self, id: Id) -> Result<i64, String> {
        match self.values[id] {
            Value::Int(value) => Ok(value),
            _ => Err("has no whole number where one is needed".to_owned()),
        }
    }

    fn integers(&self, id: Id) -> Result<Vec<i64>, String> {
        self.sequence(id)?.iter().map(|&id| self.integer(id)).collect()
    }

    fn remember(&mut self, width: usize) -> Result<(), String> {
        let (key, top) = (self.unsigned(width)?, self.top()?);
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), String> {
        let key = self.unsigned(width)?;
        let id = self.memo.get(&key).ok_or_else(|| format!("recalls {key}, which it has not remembered"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn int(&mut self, width: usize) -> Result<(), String> {
        let value = self.unsigned(width)?;
        self.push(Value::Int(i64::from(value)));
        Ok(())
    }

    /// LONG1: a little-endian number of any length with a sign; one of more than 64 bits is of no interest.
    fn long(&mut self) -> Result<(), String> {
        let width = usize::from(self.byte()?);
        let bytes = self.take(width)?;
        let is_negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut value = [if is_negative { 0xff } else { 0 }; 8];
        let value = match value.get_mut(..width) {
            Some(part) => {
                part.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(value))
            }
            None => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn string(&mut self, width: usize) -> Result<(), String> {
        let length = self.unsigned(width)? as usize;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.place..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or_else(cut)?;
        self.place += length + 1;
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn unsigned(&mut self, width: usize) -> Result<u32, String> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.place.checked_add(count).ok_or_else(cut)?;
        let taken = self.bytes.get(self.place..end).ok_or_else(cut)?;
        self.place = end;
        Ok(taken)
    }
}

fn cut() -> String {
    "ends in the middle of its pickle".to_owned()
}
