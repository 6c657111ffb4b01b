//! Numbers for objects that JavaScript calls often.
//!
//! A method of a class costs 600 ns before its first line runs (the binding checks the class's tag and registers the
//! borrow), a function that takes a number 30. So the few hot calls are functions, and find their object here, in a
//! table of the environment's thread. An object leaves the table when it is closed or its JavaScript owner is collected;
//! a call that is under way meanwhile keeps it.

use std::cell::RefCell;
use std::rc::Rc;

use millrace::{Error, Kind};

use crate::error::coded;

type Shared<T> = Rc<RefCell<T>>;

/// The objects of one kind in one environment.
pub struct Table<T>(RefCell<Vec<Option<Shared<T>>>>);

impl<T> Table<T> {
    pub const fn new() -> Self {
        Table(RefCell::new(Vec::new()))
    }

    /// Takes an object in and returns its number, which may be one that was given back.
    pub fn insert(&self, object: T) -> u32 {
        let object = Some(Rc::new(RefCell::new(object)));
        let mut slots = self.0.borrow_mut();
        let free = slots.iter().position(Option::is_none);
        let index = free.unwrap_or(slots.len());
        match free {
            Some(index) => slots[index] = object,
            None => slots.push(object),
        }
        u32::try_from(index).expect("fewer objects than numbers")
    }

    /// Calls `work` with the object of this number.
    pub fn with<R>(&self, handle: u32, work: impl FnOnce(&mut T) -> napi::Result<R>) -> napi::Result<R> {
        let found = self.0.borrow().get(handle as usize).cloned().flatten();
        let closed = || coded(&Error::new(Kind::Closed, "expected an open object, but it was closed"));
        let object = found.ok_or_else(closed)?;
        work(&mut object.borrow_mut())
    }

    /// Lets go of the object of this number.
    pub fn remove(&self, handle: u32) {
        let gone = self.0.borrow_mut().get_mut(handle as usize).and_then(Option::take);
        // Dropped here, when the table is free again: the object's own end may come back to it.
        drop(gone);
    }
}
