//! The report for people: pages of HTML that need nothing but themselves.
//!
//! One page shows the tree of directories, and one for each source its text. Style and script are in
//! every page, so that a page can be mailed, or looked at where there is no network.

mod index_page;
mod markup;
mod source_page;

use crate::report::Report;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it is in the directory of the report.
    pub path: String,
    /// Its HTML.
    pub html: String,
}

/// The pages of a report. `notes` are sentences about it as a whole; `source` yields the text of a
/// file, if it is there.
pub fn pages(
    report: &Report,
    notes: &[String],
    source: impl Fn(&str) -> Option<String>,
) -> Vec<Page> {
    let index = Page { path: "index.html".to_owned(), html: index_page::html(report, notes) };
    let sources = report.files.iter().map(|(path, file)| Page {
        path: page_path(path),
        html: source_page::html(path, file, source(path).as_deref()),
    });
    std::iter::once(index).chain(sources).collect()
}

/// Where the page of a source is.
fn page_path(source: &str) -> String {
    format!("source/{}.html", source.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lcov;

    fn report() -> Report {
        lcov::parse(
            "SF:a b/ü<x>.lisp\nBRDA:2,0,0,1\nBRDA:2,0,1,0\nDA:1,1\nDA:2,1\nDA:4,0\nend_of_record\nSF:c.c\nDA:1,7\nend_of_record\n",
        )
        .unwrap()
    }

    fn page(path: &str) -> String {
        let text =
            |path: &str| path.ends_with("lisp").then(|| "one\ntwo & <three>\n\nfour\n".into());
        let pages = pages(&report(), &["something <happened>".to_owned()], text);
        pages.into_iter().find(|page| page.path == path).expect(path).html
    }

    #[test]
    fn the_tree_links_to_the_sources_by_what_browsers_understand() {
        let index = page("index.html");
        assert!(index.contains("href=\"source/a%20b/%C3%BC%3Cx%3E.lisp.html\""), "{index}");
        assert!(index.contains("something &lt;happened&gt;"));
        assert!(index.contains("75.0%") && index.contains("66.7%"), "{index}");
    }

    #[test]
    fn lines_show_what_became_of_them_in_words_too() {
        let html = page("source/a b/ü<x>.lisp.html");
        for (line, class, words) in
            [(1, "covered", "ran"), (2, "half", "ran in part"), (4, "uncovered", "did not run")]
        {
            let row = html.split("<tr ").find(|row| row.contains(&format!("id=\"L{line}\"")));
            let row = row.unwrap_or_else(|| panic!("line {line}"));
            assert!(row.contains(&format!("class=\"{class}\"")), "{row}");
            assert!(row.contains(&format!(">{words}<")), "{row}");
        }
        assert!(html.contains("two &amp; &lt;three&gt;"));
        assert!(html.contains("1 of 2 ways"));
    }

    #[test]
    fn a_source_that_is_not_there_has_its_numbers() {
        let html = page("source/c.c.html");
        assert!(html.contains("not there") && html.contains("100.0%"), "{html}");
    }

    #[test]
    fn pages_ask_for_nothing_else() {
        for page in pages(&report(), &[], |_| None) {
            for word in ["http:", "https:", "src=", "<link", "@import", "url("] {
                assert!(!page.html.contains(word), "{word} in {}", page.path);
            }
        }
    }
}
