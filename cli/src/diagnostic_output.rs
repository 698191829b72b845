//! What is wrong, for other programs: `--diagnostics=json` and `--diagnostics=sarif`.

use std::collections::BTreeSet;

use rbz_engine::diagnostic::Diagnostic;
use rbz_engine::event::{ActionOutput, Event};
use rbz_engine::failure::ActionFailure;
use rbz_engine::plan::Plan;
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::commands::version::release;
use crate::compiler_message::{CompilerMessage, Severity, parse};
use crate::console::write_data;

/// In which form diagnostics are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiagnosticForm {
    /// As text among the messages.
    Text,
    /// On standard output too, each as a JSON object on a line of its own, as soon as it is known.
    Json,
    /// On standard output too, at the end, in the Static Analysis Results Interchange Format.
    Sarif,
}

impl DiagnosticForm {
    /// The form with this name.
    pub fn of(name: &str) -> DiagnosticForm {
        match name {
            "json" => DiagnosticForm::Json,
            "sarif" => DiagnosticForm::Sarif,
            _ => DiagnosticForm::Text,
        }
    }
}

/// One message of whatever origin.
#[derive(Debug)]
struct Entry {
    message: CompilerMessage,
    /// The target and the kind of action; `None` where it is of a BUILD file.
    action: Option<(String, String)>,
}

/// Takes messages until the command ends.
#[derive(Debug)]
pub struct DiagnosticOutput {
    form: DiagnosticForm,
    /// Those that a document is to have.
    entries: Vec<Entry>,
    /// What was told: a header shows the same in every file that includes it.
    seen: BTreeSet<String>,
}

impl DiagnosticOutput {
    /// Nothing yet; `None` where nobody but people reads.
    pub fn new(form: DiagnosticForm) -> Option<DiagnosticOutput> {
        let (entries, seen) = (Vec::new(), BTreeSet::new());
        (form != DiagnosticForm::Text).then_some(DiagnosticOutput { form, entries, seen })
    }

    /// Takes what an event about `plan` says.
    pub fn event(&mut self, event: &Event, plan: Option<&Plan>) -> Result<(), CommandError> {
        match (event, plan) {
            (Event::ActionFinished { action, output, .. }, Some(plan)) => {
                let action = plan.action(*action);
                self.output(output, &action.owner.to_string(), &action.mnemonic)
            }
            (Event::ActionFailed(failure), _) => self.failure(failure),
            _ => Ok(()),
        }
    }

    fn failure(&mut self, failure: &ActionFailure) -> Result<(), CommandError> {
        self.output(&failure.output, &failure.owner.to_string(), &failure.mnemonic)
    }

    fn output(
        &mut self,
        output: &ActionOutput,
        target: &str,
        mnemonic: &str,
    ) -> Result<(), CommandError> {
        for stream in [&output.stdout, &output.stderr] {
            self.text(&String::from_utf8_lossy(stream), target, mnemonic)?;
        }
        Ok(())
    }

    /// Takes the messages in what a process wrote.
    pub fn text(&mut self, text: &str, target: &str, mnemonic: &str) -> Result<(), CommandError> {
        for message in parse(text) {
            let action = Some((target.to_owned(), mnemonic.to_owned()));
            self.add(Entry { message, action })?;
        }
        Ok(())
    }

    /// Takes an error of a BUILD file, or of another that is read before anything runs.
    pub fn diagnostic(&mut self, diagnostic: &Diagnostic) -> Result<(), CommandError> {
        // What has no place is shown where everybody looks.
        let Some(place) = diagnostic.place.clone() else { return Ok(()) };
        let message = CompilerMessage {
            place,
            severity: Severity::Error,
            word: Severity::Error.name(),
            text: diagnostic.message.clone(),
            code: None,
            hints: diagnostic.hints.clone(),
            source: diagnostic.source.clone(),
        };
        self.add(Entry { message, action: None })
    }

    fn add(&mut self, entry: Entry) -> Result<(), CommandError> {
        let CompilerMessage { place, text, .. } = &entry.message;
        if !self.seen.insert(format!("{place} {text}")) {
            return Ok(());
        }
        match self.form {
            DiagnosticForm::Json => write_data(&format!("{}\n", to_json(&entry))),
            _ => {
                self.entries.push(entry);
                Ok(())
            }
        }
    }

    /// Writes what is written at the end.
    pub fn finish(&self) -> Result<(), CommandError> {
        match self.form {
            DiagnosticForm::Sarif => write_data(&format!("{:#}\n", self.sarif())),
            _ => Ok(()),
        }
    }

    fn sarif(&self) -> Value {
        let rules: BTreeSet<&str> =
            self.entries.iter().filter_map(|entry| entry.message.code.as_deref()).collect();
        let rules: Vec<Value> = rules.into_iter().map(|id| json!({"id": id})).collect();
        let results: Vec<Value> = self.entries.iter().map(to_sarif).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {"name": "rbz", "semanticVersion": release(), "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

fn to_json(entry: &Entry) -> Value {
    let CompilerMessage { place, severity, word, text, code, hints, source } = &entry.message;
    let mut object = json!({
        "file": place.file,
        "severity": severity.name(),
        "kind": word,
        "message": text,
        "hints": hints,
    });
    for (name, number) in [("line", place.line), ("column", place.column)] {
        if number > 0 {
            object[name] = number.into();
        }
    }
    if let Some((target, mnemonic)) = &entry.action {
        object["target"] = target.as_str().into();
        object["mnemonic"] = mnemonic.as_str().into();
    }
    for (name, value) in [("code", code), ("source", source)] {
        if let Some(value) = value {
            object[name] = value.as_str().into();
        }
    }
    object
}

fn to_sarif(entry: &Entry) -> Value {
    let CompilerMessage { place, severity, text, code, hints, source, .. } = &entry.message;
    let mut location = json!({"artifactLocation": {"uri": uri(&place.file)}});
    let mut region = json!({"startLine": place.line});
    if place.column > 0 {
        region["startColumn"] = place.column.into();
    }
    if let Some(source) = source {
        region["snippet"] = json!({"text": source});
    }
    let mut message = text.clone();
    for hint in hints {
        message += &format!("\nhint: {hint}");
    }
    if place.line > 0 {
        location["region"] = region;
    }
    let mut result = json!({
        "level": severity.name(),
        "message": {"text": message},
        "locations": [{"physicalLocation": location}],
    });
    if let Some(code) = code {
        result["ruleId"] = code.as_str().into();
    }
    if let Some((target, mnemonic)) = &entry.action {
        result["properties"] = json!({"target": target, "mnemonic": mnemonic});
    }
    result
}

/// A path as a reference, relative to the workspace as it is.
fn uri(path: &str) -> String {
    crate::build_events::escaped(path.as_bytes())
}
