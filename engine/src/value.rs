//! Plain values: what providers, depsets and command lines hold once a rule has been evaluated.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::artifact::Artifact;
use crate::depset::Depset;
use crate::digest::{Fingerprint, FingerprintBuilder};
use crate::label::Label;
use crate::runfiles::Runfiles;

/// A value without behaviour, that outlives the evaluation that made it. Cheap to clone.
///
/// Everything a rule returns is made of these. A function is a value only by its name
/// ([`FunctionRef`]); a closure is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// Any other integer, in decimal.
    BigInt(Arc<str>),
    /// A float.
    Float(f64),
    /// A string.
    Str(Arc<str>),
    /// A list; also what is left of a `set`.
    List(Arc<[Value]>),
    /// A tuple.
    Tuple(Arc<[Value]>),
    /// A dict, in insertion order.
    Dict(Arc<[(Value, Value)]>),
    /// A `struct(...)`, its fields in alphabetical order.
    Struct(Arc<[(Arc<str>, Value)]>),
    /// An instance of a provider.
    Provider(#[serde(with = "shared_provider")] Arc<ProviderInstance>),
    /// A provider itself, such as a key of `target[...]`.
    ProviderType(ProviderId),
    /// A file, tree or link.
    File(Artifact),
    /// A label.
    Label(Label),
    /// A depset.
    Depset(Depset),
    /// A function at the top level of a module.
    Function(FunctionRef),
    /// Runfiles.
    Runfiles(Arc<Runfiles>),
    /// A dependency with its providers, kept in a provider's field.
    Target(Arc<TargetValue>),
}

/// The identity of a provider: where it was made and under which name it was exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProviderId {
    /// The .bzl file that exports it; `None` for those that the language brings (`DefaultInfo`).
    pub module: Option<Label>,
    /// Its name there.
    pub name: Arc<str>,
}

impl ProviderId {
    /// A provider that the language itself brings.
    pub fn builtin(name: &str) -> Self {
        ProviderId { module: None, name: name.into() }
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// An instance of a provider: its fields in alphabetical order.
///
/// Instances hold others, and many hold the same: so each is fingerprinted once, and is written
/// once beside whatever mentions it, as depsets are.
#[derive(Clone, Debug)]
pub struct ProviderInstance {
    /// Which provider.
    pub id: ProviderId,
    /// Its fields, sorted by name.
    pub fields: Vec<(Arc<str>, Value)>,
    fingerprint: Fingerprint,
    depth: u32,
}

impl ProviderInstance {
    /// The instance with these fields, which are sorted by name.
    pub fn new(id: ProviderId, fields: Vec<(Arc<str>, Value)>) -> Self {
        let mut builder = FingerprintBuilder::new("provider");
        id.add_to(&mut builder);
        add_fields(&fields, &mut builder);
        let depth = 1 + deepest(fields.iter().map(|(_, value)| value));
        ProviderInstance { id, fields, fingerprint: builder.finish(), depth }
    }

    /// The structural identity of the instance and all that it holds.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How many values lie within one another, see [`Value::depth`].
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The field called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| &**field == name).map(|(_, value)| value)
    }
}

/// A function by the module that defines it and its name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionRef {
    /// The .bzl file.
    pub module: Label,
    /// The function's name at the top level of it.
    pub name: Arc<str>,
}

/// A configured target as a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetValue {
    /// Its label.
    pub label: Label,
    /// Its providers, sorted by id.
    #[serde(with = "shared_providers")]
    pub providers: Vec<Arc<ProviderInstance>>,
}

impl Value {
    /// A string.
    pub fn str(text: &str) -> Value {
        Value::Str(text.into())
    }

    /// The name of the type as Starlark's `type()` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) | Value::BigInt(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "string",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Struct(_) | Value::Provider(_) => "struct",
            Value::ProviderType(_) => "Provider",
            Value::File(_) => "File",
            Value::Label(_) => "Label",
            Value::Depset(_) => "depset",
            Value::Function(_) => "function",
            Value::Runfiles(_) => "runfiles",
            Value::Target(_) => "Target",
        }
    }

    /// The artifact, if it is one.
    pub fn as_file(&self) -> Option<&Artifact> {
        match self {
            Value::File(artifact) => Some(artifact),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The structural fingerprint: equal exactly when the values are.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut builder = FingerprintBuilder::new("value");
        self.add_to(&mut builder);
        builder.finish()
    }

    /// Adds this value's structure to a fingerprint under construction.
    pub fn add_to(&self, to: &mut FingerprintBuilder) {
        match self {
            Value::None => {
                to.u64(0);
            }
            Value::Bool(value) => {
                to.u64(1).u64(u64::from(*value));
            }
            Value::Int(value) => {
                to.u64(2).bytes(&value.to_le_bytes());
            }
            Value::BigInt(value) => {
                to.u64(3).str(value);
            }
            Value::Float(value) => {
                to.u64(4).u64(value.to_bits());
            }
            Value::Str(text) => {
                to.u64(5).str(text);
            }
            Value::List(items) => add_sequence(6, items, to),
            Value::Tuple(items) => add_sequence(7, items, to),
            Value::Dict(entries) => {
                to.u64(8).u64(entries.len() as u64);
                for (key, value) in entries.iter() {
                    key.add_to(to);
                    value.add_to(to);
                }
            }
            Value::Struct(fields) => {
                to.u64(9);
                add_fields(fields, to);
            }
            Value::Provider(instance) => {
                to.u64(10).part(&instance.fingerprint);
            }
            Value::ProviderType(id) => {
                to.u64(11);
                id.add_to(to);
            }
            Value::File(artifact) => {
                to.u64(12).str(artifact.exec_path()).u64(artifact.kind() as u64);
            }
            Value::Label(label) => {
                to.u64(13).str(&label.to_string());
            }
            Value::Depset(depset) => {
                to.u64(14).part(&depset.fingerprint());
            }
            Value::Function(function) => {
                to.u64(15).str(&function.module.to_string()).str(&function.name);
            }
            Value::Runfiles(runfiles) => {
                to.u64(16).part(&runfiles.fingerprint());
            }
            Value::Target(target) => {
                to.u64(17).str(&target.label.to_string()).u64(target.providers.len() as u64);
                for provider in &target.providers {
                    to.part(&provider.fingerprint);
                }
            }
        }
    }

    /// How many values lie within one another here: 0 for one that holds no other.
    pub fn depth(&self) -> u32 {
        match self {
            Value::List(items) | Value::Tuple(items) => 1 + deepest(items.iter()),
            Value::Dict(entries) => {
                1 + deepest(entries.iter().flat_map(|(key, value)| [key, value]))
            }
            Value::Struct(fields) => 1 + deepest(fields.iter().map(|(_, value)| value)),
            Value::Provider(instance) => instance.depth,
            Value::Depset(depset) => depset.depth(),
            Value::Target(target) => {
                1 + target.providers.iter().map(|provider| provider.depth).max().unwrap_or(0)
            }
            _ => 0,
        }
    }
}

/// The depth of the deepest of `values`.
pub(crate) fn deepest<'a>(values: impl Iterator<Item = &'a Value>) -> u32 {
    values.map(Value::depth).max().unwrap_or(0)
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::File(a), Value::File(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Label(a), Value::Label(b)) => a == b,
            _ => self.fingerprint() == other.fingerprint(),
        }
    }
}

impl Eq for Value {}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Value::Str(text) => text.hash(state),
            Value::File(artifact) => artifact.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Label(label) => label.hash(state),
            _ => self.fingerprint().hash(state),
        }
    }
}

impl ProviderId {
    fn add_to(&self, to: &mut FingerprintBuilder) {
        to.str(&self.module.as_ref().map(Label::to_string).unwrap_or_default()).str(&self.name);
    }
}

impl Serialize for ProviderInstance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.id, &self.fields).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ProviderInstance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, fields) = Deserialize::deserialize(deserializer)?;
        Ok(ProviderInstance::new(id, fields))
    }
}

/// An instance inside of a value: written once as the element of a depset, whoever mentions it.
mod shared_provider {
    use super::*;

    pub fn serialize<S: Serializer>(
        instance: &Arc<ProviderInstance>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let id = Value::ProviderType(instance.id.clone());
        let fields = Value::Struct(instance.fields.as_slice().into());
        Depset::of_values(vec![id, fields]).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<ProviderInstance>, D::Error> {
        match Depset::deserialize(deserializer)?.direct() {
            [Value::ProviderType(id), Value::Struct(fields)] => {
                Ok(Arc::new(ProviderInstance::new(id.clone(), fields.to_vec())))
            }
            _ => Err(serde::de::Error::custom("what was saved is no instance of a provider")),
        }
    }
}

/// Several of them.
mod shared_providers {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Shared(#[serde(with = "shared_provider")] Arc<ProviderInstance>);

    pub fn serialize<S: Serializer>(
        instances: &[Arc<ProviderInstance>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(instances.iter().map(|instance| Shared(instance.clone())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<ProviderInstance>>, D::Error> {
        let instances: Vec<Shared> = Deserialize::deserialize(deserializer)?;
        Ok(instances.into_iter().map(|Shared(instance)| instance).collect())
    }
}

fn add_sequence(tag: u64, items: &[Value], to: &mut FingerprintBuilder) {
    to.u64(tag).u64(items.len() as u64);
    for item in items {
        item.add_to(to);
    }
}

fn add_fields(fields: &[(Arc<str>, Value)], to: &mut FingerprintBuilder) {
    to.u64(fields.len() as u64);
    for (name, value) in fields {
        to.str(name);
        value.add_to(to);
    }
}
