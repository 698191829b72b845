//! Resolved attributes: those of a target in a configuration, every `select` decided and every
//! default filled in.

use std::sync::Arc;

use rbz_engine::label::Label;

use crate::attr::{AttrDefault, AttrKind, AttrValue};
use crate::rule::RuleSchema;

/// An attribute of a target in a configuration.
#[derive(Clone, Debug)]
pub struct ResolvedAttribute {
    /// Its type.
    pub kind: Arc<AttrKind>,
    /// Its value.
    pub value: AttrValue,
    /// For labels: the labels in order, each with its index among the target's dependencies.
    pub dependencies: Vec<(Label, usize)>,
    /// Whether a `transition` configures its dependencies.
    pub transitioned: bool,
    /// Whether it has the value that the rule gives it, which is no function's.
    pub is_default: bool,
}

/// The attributes of a target, in the order of its rule.
///
/// Most attributes of most targets are what the rule says. Those are shared by all its targets: a
/// hundred thousand targets with twenty attributes each would need hundreds of megabytes.
#[derive(Clone, Debug)]
pub struct ResolvedAttributes {
    schema: Arc<RuleSchema>,
    /// For each attribute of the schema.
    values: Box<[Arc<ResolvedAttribute>]>,
}

impl ResolvedAttributes {
    /// Of a rule, with these values for its attributes.
    pub fn new(schema: Arc<RuleSchema>, values: Vec<Arc<ResolvedAttribute>>) -> Self {
        ResolvedAttributes { schema, values: values.into() }
    }

    /// The attribute called `name`.
    pub fn get(&self, name: &str) -> Option<&ResolvedAttribute> {
        self.get_key_value(name).map(|(_, value)| value)
    }

    /// The attribute called `name`, with its name.
    pub fn get_key_value(&self, name: &str) -> Option<(&str, &ResolvedAttribute)> {
        let (index, key, _) = self.schema.attrs.get_full(name)?;
        self.values.get(index).map(|value| (&**key, &**value))
    }

    /// The attribute with this number in the rule.
    pub fn at(&self, index: usize) -> &ResolvedAttribute {
        &self.values[index]
    }

    /// The attribute with this number in the rule, to be changed.
    pub fn at_mut(&mut self, index: usize) -> &mut ResolvedAttribute {
        Arc::make_mut(&mut self.values[index])
    }

    /// All of them with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ResolvedAttribute)> {
        self.schema.attrs.keys().zip(self.values())
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &ResolvedAttribute> {
        self.values.iter().map(|value| &**value)
    }
}

impl RuleSchema {
    /// What each attribute is for a target that does not give it; `None` where that differs from
    /// target to target, since it is a function's value or has labels, which are dependencies.
    pub fn shared_defaults(&self) -> &[Option<Arc<ResolvedAttribute>>] {
        self.shared_defaults.get_or_init(|| {
            let attributes = self.attrs.iter().map(|(name, attribute)| match &attribute.default {
                AttrDefault::Value(value) if &**name != "name" && value.labels().is_empty() => {
                    Some(Arc::new(ResolvedAttribute {
                        kind: attribute.kind.clone(),
                        value: value.clone(),
                        dependencies: Vec::new(),
                        transitioned: attribute.is_transitioned(),
                        is_default: true,
                    }))
                }
                _ => None,
            });
            attributes.collect()
        })
    }
}
