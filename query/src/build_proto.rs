//! Targets as messages, in the layout of Bazel's build.proto, which its tools read.

/// `QueryResult`
#[derive(Clone, PartialEq, prost::Message)]
pub struct QueryResult {
    /// The targets.
    #[prost(message, repeated, tag = "1")]
    pub target: Vec<Target>,
}

/// `Target.Discriminator`
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TargetType {
    /// An instance of a rule.
    Rule = 1,
    /// A file of the source tree.
    SourceFile = 2,
    /// An output of a rule.
    GeneratedFile = 3,
    /// A group of packages.
    PackageGroup = 4,
}

/// `Target`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Target {
    /// Which of the others is there.
    #[prost(enumeration = "TargetType", required, tag = "1")]
    pub r#type: i32,
    /// An instance of a rule.
    #[prost(message, optional, tag = "2")]
    pub rule: Option<Rule>,
    /// A file of the source tree.
    #[prost(message, optional, tag = "3")]
    pub source_file: Option<SourceFile>,
    /// An output of a rule.
    #[prost(message, optional, tag = "4")]
    pub generated_file: Option<GeneratedFile>,
    /// A group of packages.
    #[prost(message, optional, tag = "5")]
    pub package_group: Option<PackageGroup>,
}

/// `Rule`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rule {
    /// Its label.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// The name of the rule.
    #[prost(string, required, tag = "2")]
    pub rule_class: String,
    /// `FILE:LINE:COLUMN`
    #[prost(string, optional, tag = "3")]
    pub location: Option<String>,
    /// Its attributes.
    #[prost(message, repeated, tag = "4")]
    pub attribute: Vec<Attribute>,
    /// What it depends on.
    #[prost(string, repeated, tag = "5")]
    pub rule_input: Vec<String>,
    /// What it declares as its outputs.
    #[prost(string, repeated, tag = "6")]
    pub rule_output: Vec<String>,
    /// The calls that led to it, outermost first.
    #[prost(string, repeated, tag = "13")]
    pub instantiation_stack: Vec<String>,
}

/// `Attribute.Discriminator`
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// A number.
    Integer = 1,
    /// A string.
    String = 2,
    /// A label.
    Label = 3,
    /// The label of an output.
    Output = 4,
    /// Strings.
    StringList = 5,
    /// Labels.
    LabelList = 6,
    /// Labels of outputs.
    OutputList = 7,
    /// String to string.
    StringDict = 10,
    /// String to strings.
    StringListDict = 13,
    /// A truth value.
    Boolean = 14,
    /// Numbers.
    IntegerList = 16,
    /// String to label.
    LabelDictUnary = 19,
    /// One of the others, with `select`s.
    SelectorList = 20,
    /// Label to string.
    LabelKeyedStringDict = 21,
}

/// `Attribute`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attribute {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// What it holds.
    #[prost(enumeration = "AttributeType", required, tag = "2")]
    pub r#type: i32,
    /// A number; of a truth value 0 or 1.
    #[prost(int32, optional, tag = "3")]
    pub int_value: Option<i32>,
    /// A string or label; of a truth value its word.
    #[prost(string, optional, tag = "5")]
    pub string_value: Option<String>,
    /// Strings or labels.
    #[prost(string, repeated, tag = "6")]
    pub string_list_value: Vec<String>,
    /// String to string.
    #[prost(message, repeated, tag = "8")]
    pub string_dict_value: Vec<StringDictEntry>,
    /// String to strings.
    #[prost(message, repeated, tag = "11")]
    pub string_list_dict_value: Vec<StringListDictEntry>,
    /// Whether the target gives it.
    #[prost(bool, optional, tag = "13")]
    pub explicitly_specified: Option<bool>,
    /// A truth value.
    #[prost(bool, optional, tag = "14")]
    pub boolean_value: Option<bool>,
    /// Numbers.
    #[prost(int32, repeated, packed = "false", tag = "17")]
    pub int_list_value: Vec<i32>,
    /// String to label.
    #[prost(message, repeated, tag = "19")]
    pub label_dict_unary_value: Vec<StringDictEntry>,
    /// Whether it holds labels of what is not needed.
    #[prost(bool, optional, tag = "20")]
    pub nodep: Option<bool>,
    /// A value with `select`s.
    #[prost(message, optional, tag = "21")]
    pub selector_list: Option<SelectorList>,
    /// Label to string.
    #[prost(message, repeated, tag = "22")]
    pub label_keyed_string_dict_value: Vec<StringDictEntry>,
}

/// `StringDictEntry`; the other entries of two strings are laid out in the same way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringDictEntry {
    /// The key.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// `StringListDictEntry`
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringListDictEntry {
    /// The key.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The values.
    #[prost(string, repeated, tag = "2")]
    pub value: Vec<String>,
}

/// `Attribute.SelectorList`
#[derive(Clone, PartialEq, prost::Message)]
pub struct SelectorList {
    /// What each branch holds.
    #[prost(enumeration = "AttributeType", optional, tag = "1")]
    pub r#type: Option<i32>,
    /// The operands.
    #[prost(message, repeated, tag = "2")]
    pub elements: Vec<Selector>,
}

/// `Attribute.Selector`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Selector {
    /// The branches.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<SelectorEntry>,
    /// Whether there is a branch for all else.
    #[prost(bool, optional, tag = "2")]
    pub has_default_value: Option<bool>,
    /// What is said when no branch holds.
    #[prost(string, optional, tag = "3")]
    pub no_match_error: Option<String>,
}

/// `Attribute.SelectorEntry`
#[derive(Clone, PartialEq, prost::Message)]
pub struct SelectorEntry {
    /// The condition.
    #[prost(string, optional, tag = "1")]
    pub label: Option<String>,
    /// A number.
    #[prost(int32, optional, tag = "2")]
    pub int_value: Option<i32>,
    /// A string or label.
    #[prost(string, optional, tag = "3")]
    pub string_value: Option<String>,
    /// A truth value.
    #[prost(bool, optional, tag = "4")]
    pub boolean_value: Option<bool>,
    /// Strings or labels.
    #[prost(string, repeated, tag = "6")]
    pub string_list_value: Vec<String>,
    /// String to string.
    #[prost(message, repeated, tag = "8")]
    pub string_dict_value: Vec<StringDictEntry>,
    /// String to strings.
    #[prost(message, repeated, tag = "11")]
    pub string_list_dict_value: Vec<StringListDictEntry>,
    /// Numbers.
    #[prost(int32, repeated, packed = "false", tag = "13")]
    pub int_list_value: Vec<i32>,
    /// String to label.
    #[prost(message, repeated, tag = "15")]
    pub label_dict_unary_value: Vec<StringDictEntry>,
    /// Whether it is as if the attribute were not given.
    #[prost(bool, optional, tag = "16")]
    pub is_default_value: Option<bool>,
    /// Label to string.
    #[prost(message, repeated, tag = "17")]
    pub label_keyed_string_dict_value: Vec<StringDictEntry>,
}

/// `SourceFile`
#[derive(Clone, PartialEq, prost::Message)]
pub struct SourceFile {
    /// Its label.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// `FILE:LINE:COLUMN`
    #[prost(string, optional, tag = "2")]
    pub location: Option<String>,
    /// Of a BUILD file: the .bzl files that it loads, and that these load.
    #[prost(string, repeated, tag = "3")]
    pub subinclude: Vec<String>,
    /// The groups that may use it.
    #[prost(string, repeated, tag = "4")]
    pub package_group: Vec<String>,
    /// Everything that its visibility names.
    #[prost(string, repeated, tag = "5")]
    pub visibility_label: Vec<String>,
}

/// `GeneratedFile`
#[derive(Clone, PartialEq, prost::Message)]
pub struct GeneratedFile {
    /// Its label.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// The target that makes it.
    #[prost(string, required, tag = "2")]
    pub generating_rule: String,
    /// `FILE:LINE:COLUMN`
    #[prost(string, optional, tag = "3")]
    pub location: Option<String>,
}

/// `PackageGroup`
#[derive(Clone, PartialEq, prost::Message)]
pub struct PackageGroup {
    /// Its label.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// The packages in it.
    #[prost(string, repeated, tag = "2")]
    pub contained_package: Vec<String>,
    /// The groups in it.
    #[prost(string, repeated, tag = "3")]
    pub included_package_group: Vec<String>,
}

/// A message as JSON, in the way of Protocol Buffers: names in camel case, nothing that is not set.
pub type Json = serde_json::Map<String, serde_json::Value>;

/// Something that has a form in JSON.
pub trait ToJson {
    /// That form.
    fn to_json(&self) -> Json;
}

/// Builds an object; what is empty or not set is left out.
#[derive(Debug, Default)]
pub(crate) struct Object(Json);

impl Object {
    /// The object.
    pub fn done(self) -> Json {
        self.0
    }

    /// With a field.
    pub fn set(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With a text, unless it is empty.
    pub fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.set(name, text) }
    }

    /// With a number, unless it is 0.
    pub fn number(self, name: &str, number: u32) -> Self {
        if number == 0 { self } else { self.set(name, number) }
    }

    /// With a value, if there is one.
    pub fn some<T: Clone + Into<serde_json::Value>>(self, name: &str, value: &Option<T>) -> Self {
        match value {
            Some(value) => self.set(name, value.clone()),
            None => self,
        }
    }

    /// With values, unless there are none.
    pub fn list<T: Clone + Into<serde_json::Value>>(self, name: &str, items: &[T]) -> Self {
        if items.is_empty() { self } else { self.set(name, items.to_vec()) }
    }

    /// With another object, if there is one.
    pub fn message<T: ToJson>(self, name: &str, value: &Option<T>) -> Self {
        match value {
            Some(value) => self.set(name, value.to_json()),
            None => self,
        }
    }

    /// With other objects, unless there are none.
    pub fn messages<T: ToJson>(self, name: &str, items: &[T]) -> Self {
        let objects = items.iter().map(|item| serde_json::Value::from(item.to_json()));
        if items.is_empty() { self } else { self.set(name, objects.collect::<Vec<_>>()) }
    }
}

/// The name of a value of an enumeration, as JSON has it.
fn enumeration(name: &str) -> String {
    let mut upper = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !upper.is_empty() {
            upper.push('_');
        }
        upper.push(c.to_ascii_uppercase());
    }
    upper
}

fn attribute_type(number: i32) -> String {
    AttributeType::try_from(number)
        .map_or_else(|_| number.to_string(), |t| enumeration(&format!("{t:?}")))
}

impl ToJson for Target {
    fn to_json(&self) -> Json {
        let kind = TargetType::try_from(self.r#type);
        let kind =
            kind.map_or_else(|_| self.r#type.to_string(), |t| enumeration(&format!("{t:?}")));
        Object::default()
            .set("type", kind)
            .message("rule", &self.rule)
            .message("sourceFile", &self.source_file)
            .message("generatedFile", &self.generated_file)
            .message("packageGroup", &self.package_group)
            .done()
    }
}

impl ToJson for Rule {
    fn to_json(&self) -> Json {
        Object::default()
            .set("name", self.name.clone())
            .set("ruleClass", self.rule_class.clone())
            .some("location", &self.location)
            .messages("attribute", &self.attribute)
            .list("ruleInput", &self.rule_input)
            .list("ruleOutput", &self.rule_output)
            .list("instantiationStack", &self.instantiation_stack)
            .done()
    }
}

impl ToJson for Attribute {
    fn to_json(&self) -> Json {
        Object::default()
            .set("name", self.name.clone())
            .set("type", attribute_type(self.r#type))
            .some("intValue", &self.int_value)
            .some("stringValue", &self.string_value)
            .list("stringListValue", &self.string_list_value)
            .messages("stringDictValue", &self.string_dict_value)
            .messages("stringListDictValue", &self.string_list_dict_value)
            .some("explicitlySpecified", &self.explicitly_specified)
            .some("booleanValue", &self.boolean_value)
            .list("intListValue", &self.int_list_value)
            .messages("labelDictUnaryValue", &self.label_dict_unary_value)
            .some("nodep", &self.nodep)
            .message("selectorList", &self.selector_list)
            .messages("labelKeyedStringDictValue", &self.label_keyed_string_dict_value)
            .done()
    }
}

impl ToJson for StringDictEntry {
    fn to_json(&self) -> Json {
        Object::default().set("key", self.key.clone()).set("value", self.value.clone()).done()
    }
}

impl ToJson for StringListDictEntry {
    fn to_json(&self) -> Json {
        Object::default().set("key", self.key.clone()).list("value", &self.value).done()
    }
}

impl ToJson for SelectorList {
    fn to_json(&self) -> Json {
        let kind = self.r#type.map(attribute_type);
        Object::default().some("type", &kind).messages("elements", &self.elements).done()
    }
}

impl ToJson for Selector {
    fn to_json(&self) -> Json {
        Object::default()
            .messages("entries", &self.entries)
            .some("hasDefaultValue", &self.has_default_value)
            .some("noMatchError", &self.no_match_error)
            .done()
    }
}

impl ToJson for SelectorEntry {
    fn to_json(&self) -> Json {
        Object::default()
            .some("label", &self.label)
            .some("intValue", &self.int_value)
            .some("stringValue", &self.string_value)
            .some("booleanValue", &self.boolean_value)
            .list("stringListValue", &self.string_list_value)
            .messages("stringDictValue", &self.string_dict_value)
            .messages("stringListDictValue", &self.string_list_dict_value)
            .list("intListValue", &self.int_list_value)
            .messages("labelDictUnaryValue", &self.label_dict_unary_value)
            .some("isDefaultValue", &self.is_default_value)
            .messages("labelKeyedStringDictValue", &self.label_keyed_string_dict_value)
            .done()
    }
}

impl ToJson for SourceFile {
    fn to_json(&self) -> Json {
        Object::default()
            .set("name", self.name.clone())
            .some("location", &self.location)
            .list("subinclude", &self.subinclude)
            .list("packageGroup", &self.package_group)
            .list("visibilityLabel", &self.visibility_label)
            .done()
    }
}

impl ToJson for GeneratedFile {
    fn to_json(&self) -> Json {
        Object::default()
            .set("name", self.name.clone())
            .set("generatingRule", self.generating_rule.clone())
            .some("location", &self.location)
            .done()
    }
}

impl ToJson for PackageGroup {
    fn to_json(&self) -> Json {
        Object::default()
            .set("name", self.name.clone())
            .list("containedPackage", &self.contained_package)
            .list("includedPackageGroup", &self.included_package_group)
            .done()
    }
}
