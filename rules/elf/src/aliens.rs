//! Foreign symbols: what the Lisp code of a core refers to by its C name.
//!
//! Each has a number, which is baked into the code: an entry of 16 bytes in a table. For a
//! function the entry is a jump to it, for a variable it holds the address.

use std::collections::{BTreeMap, HashSet};

use crate::core_file::{CoreError, CoreFile};
use crate::heap::{Heap, Value};
use crate::symbols::Symbols;

/// A foreign symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alien {
    /// Its C name.
    pub name: String,
    /// Whether it is a variable; else it is a function.
    pub is_variable: bool,
    /// Whether it is linked; else the program looks it up when it starts.
    pub is_linked: bool,
}

/// The foreign symbols of a core, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aliens(Vec<Alien>);

impl Aliens {
    /// Those that the code of a core refers to.
    pub fn of(core: &CoreFile) -> Result<Self, CoreError> {
        let heap = Heap::of(core)?;
        Self::read(&heap, &Symbols::find(core, &heap)?)
    }

    pub(crate) fn read(heap: &Heap, symbols: &Symbols) -> Result<Self, CoreError> {
        let unknown =
            || CoreError::other_version("its table of foreign symbols is laid out otherwise");
        let (table, _) = heap.cons(symbols.linkage_info).ok_or_else(unknown)?;
        let found_at_start = match symbols.found_at_start {
            Some(list) => strings(heap, list).ok_or_else(unknown)?,
            None => HashSet::new(),
        };
        let mut by_number = BTreeMap::new();
        for (key, number) in heap.hash_table(table).ok_or_else(unknown)? {
            // The name of a variable is in a list.
            let variable = heap.cons(key).map(|(name, _)| name);
            let name = heap.string(variable.unwrap_or(key)).ok_or_else(unknown)?;
            let number = number.fixnum().ok_or_else(unknown)?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic()) {
                return Err(CoreError::damaged(format!("a foreign symbol is called {name:?}")));
            }
            let is_linked = !found_at_start.contains(&*name);
            let is_variable = variable.is_some();
            let alien = Alien { name: name.into_owned(), is_variable, is_linked };
            by_number.insert(number, alien);
        }
        if !by_number.keys().copied().eq(0..by_number.len() as i64) {
            return Err(CoreError::damaged("the foreign symbols are not numbered one by one"));
        }
        Ok(Aliens(by_number.into_values().collect()))
    }

    /// All of them; the first has number 0.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Alien> + Clone {
        self.0.iter()
    }

    /// The names of those that are linked, each once, sorted.
    pub fn names(&self) -> Vec<&str> {
        let linked = self.iter().filter(|alien| alien.is_linked);
        let mut names: Vec<&str> = linked.map(|alien| alien.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The strings in a list.
fn strings(heap: &Heap, mut list: Value) -> Option<HashSet<String>> {
    // More than there is room for in the table are in no list; one that bites its tail ends, too.
    const MOST: usize = 1 << 16;
    let mut strings = HashSet::new();
    for _ in 0..MOST {
        if list == heap.nil() {
            return Some(strings);
        }
        let (first, rest) = heap.cons(list)?;
        strings.insert(heap.string(first)?.into_owned());
        list = rest;
    }
    None
}
