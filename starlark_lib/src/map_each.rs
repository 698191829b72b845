//! `map_each`: functions from the values of a command line to its arguments.
//!
//! They run during analysis, once for each function and depset node, and yield a depset of the
//! same shape. So a library at the end of a long chain of dependencies costs as much as one at its
//! beginning.

use std::collections::HashMap;
use std::sync::Mutex;

use rbz_engine::depset::Depset;
use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::digest::Fingerprint;
use rbz_engine::value::{FunctionRef, Value as Plain};
use starlark::eval::Evaluator;
use starlark::values::Value;
use starlark::values::list::ListRef;

use crate::conversion::{from_plain, to_plain};
use crate::evaluation::Evaluation;
use crate::function_value::function_ref;
use crate::limits;
use crate::value_repr::with_article;

/// The results for whole depset nodes, shared by all targets of a session.
#[derive(Default)]
pub struct MapEachCache(Mutex<HashMap<(FunctionRef, bool, Fingerprint), Depset>>);

impl MapEachCache {
    fn get(&self, key: &(FunctionRef, bool, Fingerprint)) -> Option<Depset> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner()).get(key).cloned()
    }

    fn insert(&self, key: (FunctionRef, bool, Fingerprint), depset: Depset) {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner()).insert(key, depset);
    }
}

/// A function to apply to each value.
pub struct Mapping<'v> {
    function: Value<'v>,
    reference: Option<FunctionRef>,
    expand_directories: bool,
}

impl<'v> Mapping<'v> {
    /// `function` is applied to each value; trees that will be expanded are left alone.
    pub fn new(
        function: Value<'v>,
        expand_directories: bool,
        allow_closure: bool,
        eval: &Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Self> {
        let reference = function_ref(function, eval);
        if reference.is_none() && !allow_closure && function.get_type() == "function" {
            let name = function.function_name().unwrap_or("lambda");
            return Err(Diagnostic::user(format!(
                "`map_each` must be a function at the top level of a .bzl file, which `{name}` is not"
            ))
            .hint("move it to the top level, or pass `allow_closure = True`")
            .into());
        }
        if function.get_type() != "function" {
            return Err(Diagnostic::user(format!(
                "`map_each` must be a function, not {}",
                with_article(function.get_type())
            ))
            .into());
        }
        Ok(Mapping { function, reference, expand_directories })
    }

    /// The arguments for one value: none, one or several.
    pub fn value(
        &self,
        value: &Plain,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Option<Plain>> {
        if self.expand_directories
            && let Plain::File(file) = value
            && file.is_tree()
        {
            return Ok(Some(value.clone()));
        }
        let argument = from_plain(value, eval.heap());
        let result = limits::call(eval, self.function, &[argument], &[])
            .map_err(|error| error.into_anyhow())?;
        if result.is_none() {
            return Ok(None);
        }
        let wrong = |value: Value| {
            Diagnostic::user(format!(
                "`map_each` must return a string, a list of strings or `None`, not {}",
                with_article(value.get_type())
            ))
        };
        if result.unpack_str().is_some() {
            return Ok(Some(to_plain(result, eval).map_err(|_| wrong(result))?));
        }
        let list = ListRef::from_value(result).ok_or_else(|| wrong(result))?;
        if let Some(item) = list.iter().find(|item| item.unpack_str().is_none()) {
            return Err(wrong(item).into());
        }
        Ok(Some(to_plain(result, eval).map_err(|_| wrong(result))?))
    }

    /// The arguments for all values of a depset, as a depset of the same shape.
    pub fn depset(
        &self,
        depset: &Depset,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Depset> {
        let caches = Evaluation::of(eval)?;
        let cache = &caches.session.map_each;
        let key = |node: &Depset| {
            let reference = self.reference.clone()?;
            Some((reference, self.expand_directories, node.fingerprint()))
        };
        let mut done: HashMap<Fingerprint, Depset> = HashMap::new();
        let mut stack = vec![(depset, false)];
        while let Some((node, parts_done)) = stack.pop() {
            let fingerprint = node.fingerprint();
            if done.contains_key(&fingerprint) {
                continue;
            }
            if let Some(known) = key(node).and_then(|key| cache.get(&key)) {
                done.insert(fingerprint, known);
                continue;
            }
            if !parts_done {
                stack.push((node, true));
                stack.extend(node.transitive().iter().map(|part| (part, false)));
                continue;
            }
            let mut direct = Vec::with_capacity(node.direct().len());
            for value in node.direct() {
                direct.extend(self.value(value, eval)?);
            }
            // Every part was pushed above this node, and is done by now.
            let parts = node.transitive().iter().map(|part| done[&part.fingerprint()].clone());
            let mapped = Depset::new(node.order(), direct, parts.collect())?;
            if let Some(key) = key(node) {
                cache.insert(key, mapped.clone());
            }
            done.insert(fingerprint, mapped);
        }
        Ok(done[&depset.fingerprint()].clone())
    }
}
