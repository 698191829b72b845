//! Compatibility: targets that cannot be built for the platform, by what they say of themselves or by
//! what they depend on.

use std::sync::Arc;

use rbz_engine::diagnostic::{Diagnostic, Frame, Place};
use rbz_engine::label::Label;

use crate::builtin_providers::Builtin;
use crate::configured_target::ConfiguredTarget;
use crate::dependency_graph::{Node, NodeId, ResolvedKind, ResolvedTarget};

/// The attribute that says for which platforms a target is.
const ATTRIBUTE: &str = "target_compatible_with";

/// Why a target cannot be built for the platform.
#[derive(Debug)]
pub struct Incompatibility {
    /// What the platform would have to have.
    constraint: Label,
    /// The target that asks for it.
    target: Label,
    /// Where that is declared.
    place: Place,
}

impl Incompatibility {
    /// What a target itself asks for and the platform does not have. `result` is what analysis
    /// made of a dependency.
    pub fn own(
        node: &Node,
        resolved: &ResolvedTarget,
        host_constraints: &[Label],
        result: &dyn Fn(NodeId) -> Option<Arc<ConfiguredTarget>>,
    ) -> Result<Option<Incompatibility>, Box<Diagnostic>> {
        let ResolvedKind::Rule { attributes, .. } = &resolved.kind else { return Ok(None) };
        let Some(asked) = attributes.get(ATTRIBUTE) else { return Ok(None) };
        for (label, edge) in &asked.dependencies {
            // What is wrong with it is said elsewhere.
            let Some(constraint) = result(node.edges[*edge].node) else { continue };
            if constraint.provider(&Builtin::ConstraintValueInfo.id()).is_none() {
                return Err(Box::new(Diagnostic::user(format!(
                    "in the attribute `{ATTRIBUTE}` of `{}`: `{label}` is no constraint value, but a `{}`",
                    node.label, constraint.rule
                ))));
            }
            if !host_constraints.contains(&constraint.label) {
                return Ok(Some(Incompatibility {
                    constraint: label.clone(),
                    target: node.label.clone(),
                    place: resolved.target.place.clone(),
                }));
            }
        }
        Ok(None)
    }

    /// The error for `label`, declared at `place`, if it has to be built all the same.
    pub fn error(&self, label: &Label, place: Option<Place>) -> Diagnostic {
        let Incompatibility { constraint, target, .. } = self;
        let mut error = match label == target {
            true => Diagnostic::user(format!(
                "`{label}` cannot be built for this platform, which is not `{constraint}`"
            )),
            false => Diagnostic::user(format!(
                "`{label}` cannot be built for this platform: it needs `{target}`, which is for `{constraint}`"
            )),
        };
        error.place = place;
        if label != target {
            error.trace.push(Frame {
                place: Some(self.place.clone()),
                what: format!("`{target}` says so in its `{ATTRIBUTE}`"),
                source: None,
            });
        }
        error.hint("patterns such as `//...` leave out what cannot be built")
    }
}
