//! The functions at the top level of all modules of a session, by name and by identity.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::label::Label;
use rbz_engine::value::FunctionRef;
use starlark::environment::FrozenModule;
use starlark::values::{OwnedFrozenValue, Value};

/// Loads a module that no evaluation has asked for yet.
pub type ModuleLoader = Arc<dyn Fn(&Label) -> Result<FrozenModule, Diagnostic> + Send + Sync>;

type KnownFunction = (FunctionRef, OwnedFrozenValue);

/// Finds a function by name, and the name of a function.
///
/// Modules are added as they are loaded, each after those that it loads: so a function is first
/// seen in the module that defines it.
#[derive(Default)]
pub struct FunctionIndex {
    /// By the name in the `def`, which several functions may have.
    by_name: RwLock<HashMap<Arc<str>, Vec<KnownFunction>>>,
    loader: OnceLock<ModuleLoader>,
}

impl FunctionIndex {
    /// Adds the functions of the module `label`, private ones too: `names` are all its names.
    pub fn add(&self, label: &Label, module: &FrozenModule, names: &[String]) {
        let mut by_name = self.by_name.write().unwrap_or_else(|poison| poison.into_inner());
        for name in names {
            let Ok((value, _)) = module.get_any_visibility(name) else { continue };
            let Some(own_name) = value.value().function_name() else { continue };
            let name: Arc<str> = name.as_str().into();
            let known = by_name.entry(own_name.into()).or_default();
            if !known.iter().any(|(_, function)| function.value().ptr_eq(value.value())) {
                known.push((FunctionRef { module: label.clone(), name }, value));
            }
        }
    }

    /// Sets what loads modules that are not there yet.
    pub fn set_loader(&self, loader: ModuleLoader) {
        // A session has one loader; a second one would be the same.
        let _ = self.loader.set(loader);
    }

    /// The name of `function`, whose own name is `name`.
    pub fn reference(&self, name: &str, function: Value) -> Option<FunctionRef> {
        let by_name = self.by_name.read().unwrap_or_else(|poison| poison.into_inner());
        let (reference, _) =
            by_name.get(name)?.iter().find(|(_, known)| known.value().ptr_eq(function))?;
        Some(reference.clone())
    }

    /// The function that `reference` names.
    pub fn function(&self, reference: &FunctionRef) -> Result<OwnedFrozenValue, Diagnostic> {
        let missing = || {
            Diagnostic::internal(format!(
                "the function `{}` of `{}` is not loaded",
                reference.name, reference.module
            ))
        };
        let known = {
            let by_name = self.by_name.read().unwrap_or_else(|poison| poison.into_inner());
            let same_name = by_name.get(&reference.name).map(Vec::as_slice).unwrap_or_default();
            same_name.iter().find(|(known, _)| known == reference).map(|(_, value)| value.clone())
        };
        if let Some(function) = known {
            return Ok(function);
        }
        // The module was not needed so far: who made the value was taken from a saved unit.
        let load = self.loader.get().ok_or_else(missing)?;
        let module = load(&reference.module)?;
        module.get_any_visibility(&reference.name).map(|(value, _)| value).map_err(|_| missing())
    }
}
