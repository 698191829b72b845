//! The text of BUILD files: targets, as a formatter would write them.

/// A target of a BUILD file.
pub struct Target {
    /// The rule.
    pub rule: &'static str,
    /// The name.
    pub name: String,
    /// Whether patterns leave it out.
    pub is_manual: bool,
    comments: Vec<String>,
    /// The attributes after `name`, as text.
    attributes: String,
}

impl Target {
    /// A target that has nothing but a name.
    pub fn new(rule: &'static str, name: &str) -> Target {
        Target {
            rule,
            name: name.to_owned(),
            is_manual: false,
            comments: Vec::new(),
            attributes: String::new(),
        }
    }

    /// A comment of one line before it.
    pub fn comment(&mut self, text: String) {
        self.comments.push(text);
    }

    /// Keeps patterns from finding it.
    pub fn make_manual(&mut self) {
        self.is_manual = true;
        self.list("tags", vec!["manual".to_owned()]);
    }

    /// An attribute that is true.
    pub fn flag(&mut self, attribute: &str) {
        self.attributes += &format!("    {attribute} = True,\n");
    }

    /// An attribute that is a string.
    pub fn text_of(&mut self, attribute: &str, text: &str) {
        self.attributes += &format!("    {attribute} = {},\n", literal(text));
    }

    /// An attribute that is a list of strings; none if it is empty.
    pub fn list(&mut self, attribute: &str, items: Vec<String>) {
        self.attributes += &match &items[..] {
            [] => String::new(),
            [item] => format!("    {attribute} = [{}],\n", literal(item)),
            items => {
                let lines: String =
                    items.iter().map(|item| format!("        {},\n", literal(item))).collect();
                format!("    {attribute} = [\n{lines}    ],\n")
            }
        };
    }

    /// The target as it stands in the file.
    pub fn text(&self) -> String {
        let comments: String =
            self.comments.iter().map(|comment| format!("# {comment}\n")).collect();
        let Target { rule, name, attributes, .. } = self;
        format!("{comments}{rule}(\n    name = {},\n{attributes})\n", literal(name))
    }
}

fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}
