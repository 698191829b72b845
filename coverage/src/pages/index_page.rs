//! The first page: the tree of directories, with how much of each ran.

use std::collections::BTreeMap;

use super::markup::{address, bar, escaped, grade, page, totals};
use super::page_path;
use crate::report::{FileCoverage, Report, Shares};

const SCRIPT: &str = include_str!("index.js");

/// A directory, and what is in it.
#[derive(Default)]
struct Directory<'a> {
    directories: BTreeMap<&'a str, Directory<'a>>,
    files: BTreeMap<&'a str, (&'a str, &'a FileCoverage)>,
}

impl<'a> Directory<'a> {
    fn of(report: &'a Report) -> Directory<'a> {
        let mut root = Directory::default();
        for (path, file) in &report.files {
            let mut directory = &mut root;
            let mut rest = path.as_str();
            while let Some((name, below)) = rest.split_once('/') {
                directory = directory.directories.entry(name).or_default();
                rest = below;
            }
            directory.files.insert(rest, (path, file));
        }
        root
    }

    fn shares(&self) -> Shares {
        let below = self.directories.values().map(Directory::shares);
        let files = self.files.values().map(|(_, file)| file.shares());
        below.chain(files).fold(Shares::default(), |a, b| a + b)
    }

    /// A directory with nothing but another in it is shown as one with that.
    fn only(&self) -> Option<(&'a str, &Directory<'a>)> {
        match (self.files.is_empty(), self.directories.len()) {
            (true, 1) => self.directories.iter().next().map(|(name, inner)| (*name, inner)),
            _ => None,
        }
    }

    // As deep as paths of files.
    fn write(&self, depth: usize, html: &mut String) {
        for (name, directory) in &self.directories {
            let (mut name, mut directory) = ((*name).to_owned(), directory);
            while let Some((inner_name, inner)) = directory.only() {
                name = format!("{name}/{inner_name}");
                directory = inner;
            }
            let cells = cells(&format!("{}/", escaped(&name)), directory.shares());
            *html += &format!(
                "<details open><summary class=\"row\" style=\"--depth:{depth}\">{cells}</summary>\n"
            );
            directory.write(depth + 1, html);
            *html += "</details>\n";
        }
        for (name, (path, file)) in &self.files {
            let link = address(&page_path(path));
            let label = match &file.uninstrumented {
                None => escaped(name),
                Some(why) => format!(
                    "{} <span class=\"remark\" title=\"{}\">not instrumented</span>",
                    escaped(name),
                    escaped(why)
                ),
            };
            let cells = cells(&label, file.shares());
            *html += &format!(
                "<a class=\"row file\" style=\"--depth:{depth}\" href=\"{link}\">{cells}</a>\n"
            );
        }
    }
}

fn cells(label: &str, shares: Shares) -> String {
    let branches = match shares.branches.found {
        0 => "–".to_owned(),
        _ => shares.branches.text(),
    };
    format!(
        "<span class=\"name\">{label}</span>{}<span class=\"number {}\">{}</span>\
         <span class=\"number quiet\">{} / {}</span><span class=\"number quiet\">{branches}</span>",
        bar(shares.lines, "lines"),
        grade(shares.lines),
        shares.lines.text(),
        shares.lines.hit,
        shares.lines.found,
    )
}

/// The page.
pub fn html(report: &Report, notes: &[String]) -> String {
    let mut body = "<header>\n<h1>Coverage</h1>\n".to_owned();
    body += &totals(report.shares());
    body += "</header>\n<main>\n";
    if !notes.is_empty() {
        body += "<ul class=\"notes\">\n";
        for note in notes {
            body += &format!("<li>{}</li>\n", escaped(note));
        }
        body += "</ul>\n";
    }
    body += "<nav class=\"tree\" aria-label=\"Files\">\n<div class=\"row head\" style=\"--depth:0\">\
             <span class=\"name\">file</span><span></span><span class=\"number\">lines</span>\
             <span class=\"number\">ran / all</span><span class=\"number\">branches</span></div>\n";
    Directory::of(report).write(0, &mut body);
    body += "</nav>\n<p class=\"help\"><kbd>j</kbd> <kbd>k</kbd> next and previous · <kbd>Enter</kbd> opens · \
             <kbd>u</kbd> the file of which least ran</p>\n</main>\n";
    page("Coverage", SCRIPT, &body)
}
