//! Configured targets: what analysis makes of a target in a configuration, as plain data.

use std::sync::Arc;

use rbz_engine::action::Action;
use rbz_engine::digest::Fingerprint;
use rbz_engine::label::Label;
use rbz_engine::value::{ProviderId, ProviderInstance};
use serde::{Deserialize, Serialize};

/// The providers and actions of a target in a configuration. Immutable and shared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfiguredTarget {
    /// The target; for an alias, what it stands for.
    pub label: Label,
    /// Name of the rule; `source file`, `generated file` or `package group` for other targets.
    pub rule: Arc<str>,
    /// Name of the configuration, the segment of the output directory.
    pub configuration: Arc<str>,
    /// Sorted by id.
    pub providers: Vec<Arc<ProviderInstance>>,
    /// What its rule registered, in order.
    pub actions: Vec<Arc<Action>>,
    /// Changes exactly with the providers: what a dependent's saved unit is checked against.
    pub fingerprint: Fingerprint,
}

impl ConfiguredTarget {
    /// The instance of the provider `id`, if the target has one.
    pub fn provider(&self, id: &ProviderId) -> Option<&Arc<ProviderInstance>> {
        self.providers.iter().find(|provider| provider.id == *id)
    }
}
