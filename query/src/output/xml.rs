//! Targets as XML.

use crate::build_proto::{Attribute, AttributeType, Target};

/// A document of targets.
pub fn text(targets: &[Target]) -> String {
    let mut out = Writer { text: String::new(), depth: 0 };
    out.text += "<?xml version=\"1.1\" encoding=\"UTF-8\" standalone=\"no\"?>\n";
    out.element("query", &[("version", "2")], |out| {
        for target in targets {
            out.target(target);
        }
    });
    out.text
}

struct Writer {
    text: String,
    depth: usize,
}

impl Writer {
    fn element(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        content: impl FnOnce(&mut Writer),
    ) {
        let indent = "    ".repeat(self.depth);
        self.text += &format!("{indent}<{name}");
        for (key, value) in attributes {
            self.text += &format!(" {key}=\"{}\"", escaped(value));
        }
        self.text += ">\n";
        let start = self.text.len();
        self.depth += 1;
        content(self);
        self.depth -= 1;
        if self.text.len() == start {
            // Nothing stands in it.
            self.text.truncate(start - 2);
            self.text += "/>\n";
        } else {
            self.text += &format!("{indent}</{name}>\n");
        }
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.element(name, attributes, |_| {});
    }

    fn target(&mut self, target: &Target) {
        let place = |location: &Option<String>| location.clone().unwrap_or_default();
        if let Some(rule) = &target.rule {
            let location = place(&rule.location);
            let mut attributes = vec![("class", &*rule.rule_class)];
            attributes.extend((!location.is_empty()).then_some(("location", &*location)));
            attributes.push(("name", &*rule.name));
            self.element("rule", &attributes, |out| {
                for attribute in &rule.attribute {
                    out.attribute(attribute);
                }
                for input in &rule.rule_input {
                    out.empty("rule-input", &[("name", input)]);
                }
                for output in &rule.rule_output {
                    out.empty("rule-output", &[("name", output)]);
                }
            });
        } else if let Some(file) = &target.source_file {
            let location = place(&file.location);
            let mut attributes = Vec::new();
            attributes.extend((!location.is_empty()).then_some(("location", &*location)));
            attributes.push(("name", &*file.name));
            self.element("source-file", &attributes, |out| {
                for label in &file.subinclude {
                    out.empty("load", &[("name", label)]);
                }
                for label in &file.package_group {
                    out.empty("package-group", &[("name", label)]);
                }
                for label in &file.visibility_label {
                    out.empty("visibility-label", &[("name", label)]);
                }
            });
        } else if let Some(file) = &target.generated_file {
            let location = place(&file.location);
            let mut attributes = vec![("generating-rule", &*file.generating_rule)];
            attributes.extend((!location.is_empty()).then_some(("location", &*location)));
            attributes.push(("name", &*file.name));
            self.empty("generated-file", &attributes);
        } else if let Some(group) = &target.package_group {
            self.element("package-group", &[("name", &group.name)], |out| {
                out.element("list", &[("name", "includes")], |out| {
                    for label in &group.included_package_group {
                        out.empty("label", &[("value", label)]);
                    }
                });
                out.element("list", &[("name", "packages")], |out| {
                    for package in &group.contained_package {
                        out.empty("string", &[("value", package)]);
                    }
                });
            });
        }
    }

    fn attribute(&mut self, attribute: &Attribute) {
        let name = &*attribute.name;
        let text = attribute.string_value.as_deref();
        let value = |tag: &str, text: Option<&str>, out: &mut Writer| {
            let mut attributes = vec![("name", name)];
            attributes.extend(text.map(|text| ("value", text)));
            out.empty(tag, &attributes);
        };
        let list = |tag: &str, items: &[String], out: &mut Writer| {
            out.element("list", &[("name", name)], |out| {
                for item in items {
                    out.empty(tag, &[("value", item)]);
                }
            });
        };
        let number = attribute.int_value.map(|number| number.to_string());
        match attribute.r#type() {
            AttributeType::Integer => value("int", number.as_deref(), self),
            AttributeType::Boolean => value("boolean", text, self),
            AttributeType::String => value("string", text, self),
            AttributeType::Label => value("label", text, self),
            AttributeType::Output => value("output", text, self),
            AttributeType::StringList if attribute.nodep == Some(true) => {
                list("label", &attribute.string_list_value, self);
            }
            AttributeType::StringList => list("string", &attribute.string_list_value, self),
            AttributeType::LabelList => list("label", &attribute.string_list_value, self),
            AttributeType::OutputList => list("output", &attribute.string_list_value, self),
            AttributeType::IntegerList => {
                let items: Vec<String> =
                    attribute.int_list_value.iter().map(i32::to_string).collect();
                list("int", &items, self);
            }
            AttributeType::StringListDict => {
                self.element("dict", &[("name", name)], |out| {
                    for entry in &attribute.string_list_dict_value {
                        out.element("pair", &[], |out| {
                            out.empty("string", &[("value", &entry.key)]);
                            out.element("list", &[], |out| {
                                for item in &entry.value {
                                    out.empty("string", &[("value", item)]);
                                }
                            });
                        });
                    }
                });
            }
            kind => {
                let (entries, tags) = match kind {
                    AttributeType::LabelKeyedStringDict => {
                        (&attribute.label_keyed_string_dict_value, ["label", "string"])
                    }
                    AttributeType::LabelDictUnary => {
                        (&attribute.label_dict_unary_value, ["string", "label"])
                    }
                    _ => (&attribute.string_dict_value, ["string", "string"]),
                };
                self.element("dict", &[("name", name)], |out| {
                    for entry in entries {
                        out.element("pair", &[], |out| {
                            out.empty(tags[0], &[("value", &entry.key)]);
                            out.empty(tags[1], &[("value", &entry.value)]);
                        });
                    }
                });
            }
        }
    }
}

/// `text` as it may stand in an attribute. XML 1.1 allows every character but NUL, if need be as a
/// reference.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\0' => out.push('\u{fffd}'),
            c if c.is_control() => out += &format!("&#{};", c as u32),
            c => out.push(c),
        }
    }
    out
}
