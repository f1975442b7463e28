//! The page in headless Chromium, from a file: it loads without an error, and its filters filter.
//!
//! Skipped, with a printed reason, where no Chromium is installed.

mod fixture;
mod rendered;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fixture::Fixture;

const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: no Chromium in PATH (looked for {})", NAMES.join(", "));
    }
    found
}

fn opened(browser: &Path, page: &Path, fragment: &str) -> Output {
    let profile = tempfile::tempdir().unwrap();
    Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--enable-logging=stderr", "--timeout=20000", "--dump-dom"])
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .unwrap()
}

/// The page's elements after its script ran at `fragment`; fails on anything that the page wrote to the console.
fn loaded(browser: &Path, page: &Path, fragment: &str) -> String {
    let output = opened(browser, page, fragment);
    let log = String::from_utf8_lossy(&output.stderr);
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(output.status.success(), "{log}");
    assert!(console.is_empty(), "{console:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Text of the first element after `start` that opens with `tag`, up to the next tag.
fn text_after<'a>(dom: &'a str, tag: &str) -> &'a str {
    let start = dom.find(tag).unwrap_or_else(|| panic!("no {tag}")) + tag.len();
    dom[start..].split('<').next().unwrap()
}

/// Attributes of the root element, where the page's scripts say how they fared.
fn marks(dom: &str) -> &str {
    dom.split("<html").nth(1).and_then(|rest| rest.split('>').next()).expect("a page has a root element")
}

fn lines_drawn(dom: &str, chart: &str) -> usize {
    let start = dom.find(&format!("data-chart=\"{chart}\"")).unwrap();
    let count = dom[start..].split("data-lines=\"").nth(1).unwrap().split('"').next().unwrap();
    count.parse().unwrap()
}

/// Trials in the table, and lines in the charts of curves and of layers.
fn shown(dom: &str) -> (usize, usize, usize) {
    (visible_trials(dom), lines_drawn(dom, "curves"), lines_drawn(dom, "layers"))
}

fn visible_trials(dom: &str) -> usize {
    dom.split("<tr data-trial=")
        .skip(1)
        .filter(|row| !row.split('>').next().unwrap().contains("hidden"))
        .count()
}

#[test]
fn the_page_loads_draws_filters_and_sorts_without_an_error() {
    let Some(browser) = chromium() else { return };
    let fixture = Fixture::new();
    let page = fixture.path("report.html");
    std::fs::write(&page, fixture.page()).unwrap();

    let whole = loaded(&browser, &page, "");
    assert_eq!(marks(&whole), " lang=\"en\" data-ready=\"true\"");
    assert_eq!(shown(&whole), (20, 18, 1));
    assert_eq!(text_after(&whole, "<output>"), "20 trials");
    assert!(whole.contains("<button type=\"button\">method</button>"), "headings sort");

    let lora = loaded(&browser, &page, "#method=lora&metric=distance&axis=log");
    assert_eq!(marks(&lora), marks(&whole));
    assert_eq!(shown(&lora), (6, 6, 0));
    assert_eq!(text_after(&lora, "<output>"), "6 of 20 trials");
    assert!(lora.contains("distance over steps, 6 lines"));

    let lost = loaded(&browser, &page, "#section=sweep-mini&status=diverged");
    assert_eq!((visible_trials(&lost), lines_drawn(&lost, "curves")), (1, 0));

    let searched = loaded(&browser, &page, "#search=VASE&layer=b.to_k&quantity=bound_use");
    assert_eq!((visible_trials(&searched), lines_drawn(&searched, "layers")), (3, 1));
    let other = loaded(&browser, &page, "#section=another&method=lora");
    assert_eq!(visible_trials(&other), 20, "filters of another section");
}

#[test]
fn an_error_in_the_page_is_marked() {
    let Some(browser) = chromium() else { return };
    let fixture = Fixture::new();
    let page = fixture.path("report.html");
    // Without its data the script must fail, and the mark must say so: else the test above could not see a failure.
    let broken = fixture.page().replace("class=\"data\">{", "class=\"data\">}");
    std::fs::write(&page, broken).unwrap();
    let output = opened(&browser, &page, "");
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(marks(&dom).contains("data-error=") && !marks(&dom).contains("data-ready"), "{}", marks(&dom));
}
