//! Configured targets and actions as messages, in the layout of Bazel's analysis_v2.proto.

use crate::build_proto::{Json, Object, Target as DeclaredTarget, ToJson};

/// `CqueryResult`
#[derive(Clone, PartialEq, prost::Message)]
pub struct CqueryResult {
    /// The targets.
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<ConfiguredTarget>,
    /// The configurations that they are in.
    #[prost(message, repeated, tag = "2")]
    pub configurations: Vec<Configuration>,
}

/// `ConfiguredTarget`
#[derive(Clone, PartialEq, prost::Message)]
pub struct ConfiguredTarget {
    /// The target.
    #[prost(message, optional, tag = "1")]
    pub target: Option<DeclaredTarget>,
    /// Its configuration; 0: none.
    #[prost(uint32, tag = "3")]
    pub configuration_id: u32,
}

/// `Configuration`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Configuration {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub mnemonic: String,
    /// Its platform.
    #[prost(string, tag = "3")]
    pub platform_name: String,
    /// The digest of its options.
    #[prost(string, tag = "4")]
    pub checksum: String,
}

/// `ActionGraphContainer`
#[derive(Clone, PartialEq, prost::Message)]
pub struct ActionGraphContainer {
    /// Files and directories.
    #[prost(message, repeated, tag = "1")]
    pub artifacts: Vec<Artifact>,
    /// The actions.
    #[prost(message, repeated, tag = "2")]
    pub actions: Vec<Action>,
    /// The targets that made them.
    #[prost(message, repeated, tag = "3")]
    pub targets: Vec<Target>,
    /// The sets that inputs are made of.
    #[prost(message, repeated, tag = "4")]
    pub dep_set_of_files: Vec<DepSetOfFiles>,
    /// The configurations of actions.
    #[prost(message, repeated, tag = "5")]
    pub configuration: Vec<Configuration>,
    /// The rules of targets.
    #[prost(message, repeated, tag = "7")]
    pub rule_classes: Vec<RuleClass>,
    /// The parts of paths.
    #[prost(message, repeated, tag = "8")]
    pub path_fragments: Vec<PathFragment>,
}

/// `Artifact`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Artifact {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its path.
    #[prost(uint32, tag = "2")]
    pub path_fragment_id: u32,
    /// Whether it is a directory.
    #[prost(bool, tag = "3")]
    pub is_tree_artifact: bool,
}

/// `Action`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Action {
    /// The target that made it.
    #[prost(uint32, tag = "1")]
    pub target_id: u32,
    /// Changes with everything but the contents of its inputs.
    #[prost(string, tag = "3")]
    pub action_key: String,
    /// The kind of work.
    #[prost(string, tag = "4")]
    pub mnemonic: String,
    /// Its configuration.
    #[prost(uint32, tag = "5")]
    pub configuration_id: u32,
    /// Its command line.
    #[prost(string, repeated, tag = "6")]
    pub arguments: Vec<String>,
    /// Its environment.
    #[prost(message, repeated, tag = "7")]
    pub environment_variables: Vec<KeyValuePair>,
    /// Its inputs.
    #[prost(uint32, repeated, tag = "8")]
    pub input_dep_set_ids: Vec<u32>,
    /// Its outputs.
    #[prost(uint32, repeated, tag = "9")]
    pub output_ids: Vec<u32>,
    /// Its execution requirements.
    #[prost(message, repeated, tag = "11")]
    pub execution_info: Vec<KeyValuePair>,
    /// Its parameter files.
    #[prost(message, repeated, tag = "12")]
    pub param_files: Vec<ParamFile>,
    /// The first of its outputs.
    #[prost(uint32, tag = "13")]
    pub primary_output_id: u32,
    /// What it replaces in a template.
    #[prost(message, repeated, tag = "16")]
    pub substitutions: Vec<KeyValuePair>,
    /// The text of the file that it writes.
    #[prost(string, tag = "17")]
    pub file_contents: String,
    /// The text of the link that it makes.
    #[prost(string, tag = "18")]
    pub unresolved_symlink_target: String,
}

/// `Target`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its label.
    #[prost(string, tag = "2")]
    pub label: String,
    /// Its rule.
    #[prost(uint32, tag = "3")]
    pub rule_class_id: u32,
}

/// `RuleClass`
#[derive(Clone, PartialEq, prost::Message)]
pub struct RuleClass {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
}

/// `DepSetOfFiles`
#[derive(Clone, PartialEq, prost::Message)]
pub struct DepSetOfFiles {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// The sets in it.
    #[prost(uint32, repeated, tag = "2")]
    pub transitive_dep_set_ids: Vec<u32>,
    /// The files in it.
    #[prost(uint32, repeated, tag = "3")]
    pub direct_artifact_ids: Vec<u32>,
}

/// `KeyValuePair`
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValuePair {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `ParamFile`
#[derive(Clone, PartialEq, prost::Message)]
pub struct ParamFile {
    /// Its path.
    #[prost(string, tag = "1")]
    pub exec_path: String,
    /// Its lines.
    #[prost(string, repeated, tag = "2")]
    pub arguments: Vec<String>,
}

/// `PathFragment`
#[derive(Clone, PartialEq, prost::Message)]
pub struct PathFragment {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its last segment.
    #[prost(string, tag = "2")]
    pub label: String,
    /// What is before that; 0: nothing.
    #[prost(uint32, tag = "3")]
    pub parent_id: u32,
}

impl ToJson for CqueryResult {
    fn to_json(&self) -> Json {
        Object::default()
            .messages("results", &self.results)
            .messages("configurations", &self.configurations)
            .done()
    }
}

impl ToJson for ConfiguredTarget {
    fn to_json(&self) -> Json {
        Object::default()
            .message("target", &self.target)
            .number("configurationId", self.configuration_id)
            .done()
    }
}

impl ToJson for Configuration {
    fn to_json(&self) -> Json {
        Object::default()
            .number("id", self.id)
            .text("mnemonic", &self.mnemonic)
            .text("platformName", &self.platform_name)
            .text("checksum", &self.checksum)
            .done()
    }
}

impl ToJson for ActionGraphContainer {
    fn to_json(&self) -> Json {
        Object::default()
            .messages("artifacts", &self.artifacts)
            .messages("actions", &self.actions)
            .messages("targets", &self.targets)
            .messages("depSetOfFiles", &self.dep_set_of_files)
            .messages("configuration", &self.configuration)
            .messages("ruleClasses", &self.rule_classes)
            .messages("pathFragments", &self.path_fragments)
            .done()
    }
}

impl ToJson for Artifact {
    fn to_json(&self) -> Json {
        let object =
            Object::default().number("id", self.id).number("pathFragmentId", self.path_fragment_id);
        match self.is_tree_artifact {
            true => object.set("isTreeArtifact", true).done(),
            false => object.done(),
        }
    }
}

impl ToJson for Action {
    fn to_json(&self) -> Json {
        Object::default()
            .number("targetId", self.target_id)
            .text("actionKey", &self.action_key)
            .text("mnemonic", &self.mnemonic)
            .number("configurationId", self.configuration_id)
            .list("arguments", &self.arguments)
            .messages("environmentVariables", &self.environment_variables)
            .list("inputDepSetIds", &self.input_dep_set_ids)
            .list("outputIds", &self.output_ids)
            .messages("executionInfo", &self.execution_info)
            .messages("paramFiles", &self.param_files)
            .number("primaryOutputId", self.primary_output_id)
            .messages("substitutions", &self.substitutions)
            .text("fileContents", &self.file_contents)
            .text("unresolvedSymlinkTarget", &self.unresolved_symlink_target)
            .done()
    }
}

impl ToJson for Target {
    fn to_json(&self) -> Json {
        Object::default()
            .number("id", self.id)
            .text("label", &self.label)
            .number("ruleClassId", self.rule_class_id)
            .done()
    }
}

impl ToJson for RuleClass {
    fn to_json(&self) -> Json {
        Object::default().number("id", self.id).text("name", &self.name).done()
    }
}

impl ToJson for DepSetOfFiles {
    fn to_json(&self) -> Json {
        Object::default()
            .number("id", self.id)
            .list("transitiveDepSetIds", &self.transitive_dep_set_ids)
            .list("directArtifactIds", &self.direct_artifact_ids)
            .done()
    }
}

impl ToJson for KeyValuePair {
    fn to_json(&self) -> Json {
        Object::default().text("key", &self.key).text("value", &self.value).done()
    }
}

impl ToJson for ParamFile {
    fn to_json(&self) -> Json {
        Object::default()
            .text("execPath", &self.exec_path)
            .list("arguments", &self.arguments)
            .done()
    }
}

impl ToJson for PathFragment {
    fn to_json(&self) -> Json {
        Object::default()
            .number("id", self.id)
            .text("label", &self.label)
            .number("parentId", self.parent_id)
            .done()
    }
}
