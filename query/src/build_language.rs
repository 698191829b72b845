//! The build language as a message: the rules that BUILD files know, in the layout of Bazel's
//! build.proto. Language servers complete names from it.

use prost::Message;
use rbz_engine::diagnostic::Diagnostic;
use rbz_starlark::attr::{AttrKind, AttrSchema};
use rbz_starlark::loader::Loader;

use crate::build_proto::AttributeType;
use crate::output::messages::attribute_type;

/// `BuildLanguage`
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildLanguage {
    /// The rules.
    #[prost(message, repeated, tag = "1")]
    pub rule: Vec<RuleDefinition>,
}

/// `RuleDefinition`
#[derive(Clone, PartialEq, prost::Message)]
pub struct RuleDefinition {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Its public attributes.
    #[prost(message, repeated, tag = "2")]
    pub attribute: Vec<AttributeDefinition>,
    /// What it does.
    #[prost(string, optional, tag = "3")]
    pub documentation: Option<String>,
}

/// `AttributeDefinition`
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeDefinition {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// What it holds.
    #[prost(enumeration = "AttributeType", required, tag = "2")]
    pub r#type: i32,
    /// Whether every target must give it.
    #[prost(bool, optional, tag = "3")]
    pub mandatory: Option<bool>,
    /// What it is for.
    #[prost(string, optional, tag = "5")]
    pub documentation: Option<String>,
    /// Whether it may be empty.
    #[prost(bool, optional, tag = "6")]
    pub allow_empty: Option<bool>,
    /// Whether it must be one file.
    #[prost(bool, optional, tag = "7")]
    pub allow_single_file: Option<bool>,
    /// Whether it must be something that can be run.
    #[prost(bool, optional, tag = "10")]
    pub executable: Option<bool>,
    /// Whether a `select` may stand in it.
    #[prost(bool, optional, tag = "11")]
    pub configurable: Option<bool>,
}

/// The rules that the BUILD files of a workspace know, encoded.
pub fn build_language(loader: &Loader) -> Result<Vec<u8>, Diagnostic> {
    let rules = loader.predeclared_rules().map_err(|error| *error)?;
    let rule = rules
        .into_iter()
        .map(|(name, schema)| {
            let public = schema.attrs.iter().filter(|(name, _)| !name.starts_with('_'));
            RuleDefinition {
                name,
                attribute: public.map(|(name, schema)| attribute(name, schema)).collect(),
                documentation: documentation(&schema.doc),
            }
        })
        .collect();
    Ok(BuildLanguage { rule }.encode_to_vec())
}

fn documentation(doc: &str) -> Option<String> {
    (!doc.trim().is_empty()).then(|| doc.trim().to_owned())
}

fn attribute(name: &str, schema: &AttrSchema) -> AttributeDefinition {
    let label = match &*schema.kind {
        AttrKind::Label(label) => Some(label),
        _ => None,
    };
    AttributeDefinition {
        name: name.to_owned(),
        r#type: attribute_type(&schema.kind) as i32,
        mandatory: Some(schema.mandatory),
        documentation: documentation(&schema.doc),
        allow_empty: Some(schema.allow_empty),
        allow_single_file: label.map(|label| label.single_file),
        executable: label.map(|label| label.executable),
        configurable: Some(schema.configurable),
    }
}
