//! What a workload keeps from one bank to the next.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A value that is costly to make, such as a loaded network: the latest, with what it was made for.
#[derive(Debug)]
pub struct Latest<T>(RefCell<Option<(String, Rc<T>)>>);

impl<T> Default for Latest<T> {
    fn default() -> Latest<T> {
        Latest(RefCell::new(None))
    }
}

impl<T> Latest<T> {
    /// The value for `key`, made where the latest is for another. The old goes before the new comes: two networks may not
    /// fit in memory.
    ///
    /// Errors: those of `make`, after which nothing is kept.
    pub fn get<E>(&self, key: String, make: impl FnOnce() -> Result<T, E>) -> Result<Rc<T>, E> {
        let mut latest = self.0.borrow_mut();
        if let Some((of, value)) = latest.as_ref()
            && *of == key
        {
            return Ok(value.clone());
        }
        *latest = None;
        let made = Rc::new(make()?);
        *latest = Some((key, made.clone()));
        Ok(made)
    }
}

/// What was found out once for each of several keys, such as the time of a pass for a network and a length.
#[derive(Debug)]
pub struct Known<T>(RefCell<HashMap<String, T>>);

impl<T> Default for Known<T> {
    fn default() -> Known<T> {
        Known(RefCell::default())
    }
}

impl<T: Clone> Known<T> {
    /// What is known for `key`, found out where nothing is. Errors: those of `find`, after which nothing is known.
    pub fn get<E>(&self, key: String, find: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(known.clone());
        }
        let found = find()?;
        self.0.borrow_mut().insert(key, found.clone());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_for_a_key_and_the_old_one_goes_first() {
        let latest = Latest::default();
        let first = latest.get("a".to_owned(), || Ok::<_, String>(1)).unwrap();
        assert_eq!(*latest.get("a".to_owned(), || Err("made again".to_owned())).unwrap(), 1);
        let weak = Rc::downgrade(&first);
        drop(first);
        let made = latest.get("b".to_owned(), || {
            assert!(weak.upgrade().is_none(), "the old is still there");
            Ok::<_, String>(2)
        });
        assert_eq!(*made.unwrap(), 2);
        assert_eq!(latest.get("c".to_owned(), || Err("broken".to_owned())), Err("broken".to_owned()));
        assert_eq!(*latest.get("b".to_owned(), || Ok::<_, String>(3)).unwrap(), 3, "nothing was kept");
    }
}
