//! The cases of tests, read from the reports that the tests wrote: `test.xml` as JUnit writes it.

use std::ops::AddAssign;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};
use rbz_engine::event::TestSummary;

/// How many cases of what kind there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaseCounts {
    /// Those that passed.
    pub passed: usize,
    /// Those that failed, or that an error ended.
    pub failed: usize,
    /// Those that did not run.
    pub skipped: usize,
}

impl CaseCounts {
    /// All of them.
    pub fn total(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

impl AddAssign for CaseCounts {
    fn add_assign(&mut self, other: CaseCounts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What a report says of the cases of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestCases {
    /// How many there were.
    pub counts: CaseCounts,
    /// What it says of each that failed.
    pub failures: Vec<String>,
}

/// What the tests of a summary say of their cases, all runs and shards together. `None` if one of them
/// says nothing: then the report is the one that rbz writes itself.
pub fn of_summary(summary: &TestSummary, execution_root: &Path) -> Option<TestCases> {
    let mut all = TestCases::default();
    if summary.reports.is_empty() {
        return None;
    }
    for report in &summary.reports {
        let text = std::fs::read_to_string(execution_root.join(report)).ok()?;
        let cases = read(&text)?;
        all.counts += cases.counts;
        all.failures.extend(cases.failures);
    }
    Some(all)
}

/// What became of the case that is being read.
#[derive(Default)]
struct Case {
    name: String,
    skipped: bool,
    failed: bool,
    /// What its failures say, the message of the first if none has a text.
    text: String,
    message: Option<String>,
}

/// What a report says; `None` if it is no report, or has no cases of the test's own: those have a class.
fn read(xml: &str) -> Option<TestCases> {
    let mut reader = Reader::from_str(xml);
    let mut cases = TestCases::default();
    let mut is_report = false;
    let mut case: Option<Case> = None;
    let mut in_failure = false;
    loop {
        match reader.read_event().ok()? {
            Xml::Start(element) => match element.name().as_ref() {
                b"testsuites" | b"testsuite" => is_report = true,
                b"testcase" => case = Some(begin(&element)?),
                b"failure" | b"error" => {
                    in_failure = true;
                    fail(case.as_mut(), &element);
                }
                b"skipped" => skip(case.as_mut()),
                _ => {}
            },
            Xml::Empty(element) => match element.name().as_ref() {
                b"testsuites" | b"testsuite" => is_report = true,
                b"testcase" => end(begin(&element)?, &mut cases),
                b"failure" | b"error" => fail(case.as_mut(), &element),
                b"skipped" => skip(case.as_mut()),
                _ => {}
            },
            Xml::End(element) => match element.name().as_ref() {
                b"testcase" => end(case.take()?, &mut cases),
                b"failure" | b"error" => in_failure = false,
                _ => {}
            },
            Xml::Text(text) if in_failure => {
                if let Some(case) = &mut case {
                    case.text += &text.decode().ok()?;
                }
            }
            Xml::GeneralRef(reference) if in_failure => {
                if let Some(case) = &mut case {
                    let name = reference.decode().ok()?;
                    case.text += &quick_xml::escape::unescape(&format!("&{name};")).ok()?;
                }
            }
            Xml::CData(text) if in_failure => {
                if let Some(case) = &mut case {
                    case.text += &text.decode().ok()?;
                }
            }
            Xml::Eof => return is_report.then_some(cases),
            _ => {}
        }
    }
}

/// The case whose element begins here; `None` if it has no class.
fn begin(element: &BytesStart<'_>) -> Option<Case> {
    let class = attribute(element, "classname")?;
    let name = attribute(element, "name").unwrap_or_default();
    let name = if class.is_empty() { name } else { format!("{class}/{name}") };
    Some(Case { name, ..Case::default() })
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    Some(attribute.unescape_value().ok()?.into_owned())
}

fn fail(case: Option<&mut Case>, element: &BytesStart<'_>) {
    if let Some(case) = case {
        case.failed = true;
        case.message = case.message.take().or_else(|| attribute(element, "message"));
    }
}

fn skip(case: Option<&mut Case>) {
    if let Some(case) = case {
        case.skipped = true;
    }
}

fn end(case: Case, cases: &mut TestCases) {
    if case.failed {
        cases.counts.failed += 1;
        let text = case.text.trim_end();
        let message = case.message.unwrap_or_else(|| "it failed".to_owned());
        cases.failures.push(match text {
            "" => format!("{}: {message}", case.name),
            // Frameworks that know the place say it first.
            text if text.contains(": error: ") => text.to_owned(),
            text => format!("{}:\n{text}", case.name),
        });
    } else if case.skipped {
        cases.counts.skipped += 1;
    } else {
        cases.counts.passed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_and_failures_told() {
        let xml = r#"<?xml version="1.0"?>
<testsuites><testsuite name="t" tests="5">
  <testcase name="a" classname="s"/>
  <testcase name="b" classname="s"><failure message="m">f.lisp:1:2: error: test `b` failed: (&lt; 1 &quot;x&quot;)
  expected: 1
</failure></testcase>
  <testcase name="c" classname="s"><error message="the &amp; end"/></testcase>
  <testcase name="d" classname=""><skipped message="later"/></testcase>
  <testcase name="e" classname=""><failure><![CDATA[1 < 2]]></failure><system-out>x</system-out></testcase>
</testsuite></testsuites>   "#;
        let cases = read(xml).expect("a report");
        assert_eq!(cases.counts, CaseCounts { passed: 1, failed: 3, skipped: 1 });
        assert_eq!(
            cases.failures,
            [
                "f.lisp:1:2: error: test `b` failed: (< 1 \"x\")\n  expected: 1",
                "s/c: the & end",
                "e:\n1 < 2",
            ]
        );
    }

    #[test]
    fn what_rbz_writes_for_a_test_without_a_report_counts_no_cases() {
        assert_eq!(
            read("<testsuites><testsuite><testcase name=\"t\"/></testsuite></testsuites>"),
            None
        );
        assert_eq!(read("no XML <"), None);
        assert_eq!(read("<html></html>"), None);
        assert_eq!(read("<testsuites></testsuites>"), Some(TestCases::default()));
    }
}
