//! The claim ledger as HTML: statements with their tests, the paper's numbers beside ours, and what is not attempted.

use decide::{Claim, Decided, Judged, Judgement, Test, Verdict};

use crate::html::{Row, Table, escape, inline, slug};

const EXPLANATION: &str = include_str!("../assets/ledger.html");

/// How many statements are decided, each once: by a design that was written before its trials ran where there is one, and then
/// as a sentence, else by what was merely seen.
pub fn settled(claims: &[Judged]) -> String {
    let statements: Vec<(&Claim, &Judgement)> = claims
        .iter()
        .filter(|(claim, _)| !is_number(claim))
        .filter_map(|(claim, found)| {
            let attempted = || found.iter().filter(|found| found.verdict != Verdict::NotAttempted);
            let last = attempted().rfind(|found| found.is_registered).or_else(|| attempted().next_back());
            Some((claim, last?))
        })
        .collect();
    let counts = |title: &str, is_registered: bool| {
        let of = |verdict: Verdict| {
            let is_of = |found: &&Judgement| found.verdict == verdict && found.is_registered == is_registered;
            statements.iter().map(|(_, found)| *found).filter(is_of).count()
        };
        let count = |verdict: &Verdict| {
            let count = of(*verdict);
            (count > 0).then(|| format!("<li>{} <b>{count}</b> {}</li>", verdict.mark(), verdict.text()))
        };
        let counts: String = Verdict::ALL.iter().filter_map(count).collect();
        if counts.is_empty() {
            counts
        } else {
            format!("<p>{title}</p>\n<ul class=\"counts\">{counts}</ul>\n")
        }
    };
    let sentence = |(claim, found): &(&Claim, &Judgement)| {
        format!(
            "<li>{} <a href=\"#claim-{}\">{}</a> {}: {} ({}), n = {}{}</li>\n",
            found.verdict.mark(),
            slug(&claim.id),
            inline(&claim.statement),
            inline(&found.quantity),
            found.value.map(with_sign).unwrap_or_default(),
            interval(found, with_sign),
            found.n,
            small(&differs(claim, found))
        )
    };
    let is_settled = |(_, found): &&(&Claim, &Judgement)| found.is_registered && found.verdict.is_decided();
    let sentences: String = statements.iter().filter(is_settled).map(sentence).collect();
    let registered = counts(
        "Statements of the paper, decided by designs that were written before their trials ran:",
        true,
    );
    let others = counts("Statements with results that were looked at while they came:", false);
    let list = if sentences.is_empty() { sentences } else { format!("<ul>\n{sentences}</ul>\n") };
    format!("<section id=\"settled\">\n<h2>What is settled</h2>\n{registered}{list}{others}</section>\n")
}

fn is_number(claim: &Claim) -> bool {
    matches!(claim.decided, Decided::By { test: Test::Number { .. }, .. })
}

/// The section of the ledger.
pub fn html(claims: &[Judged]) -> String {
    let all = || claims.iter().flat_map(|(claim, found)| found.iter().map(move |found| (claim, found)));
    let rows = |kind: [bool; 2], row: fn(&Claim, &Judgement) -> Row| -> Vec<Row> {
        let of_kind = |claim: &Claim, found: &Judgement| {
            let attempted = found.verdict != Verdict::NotAttempted;
            [attempted, attempted && is_number(claim)] == kind
        };
        all().filter(|(claim, found)| of_kind(claim, found)).map(|(claim, found)| row(claim, found)).collect()
    };
    let mut html = String::from("<section id=\"claims\">\n<h2>What the paper says, and what we see</h2>\n");
    html += EXPLANATION;
    let header = "statement of the paper, where, verdict, measured, ours, 95 % interval, n, p, p (Holm), margin, n to decide";
    html += &table("Statements", "claims", header, rows([true, false], statement));
    let header = "the paper's row, where, verdict, measured, ours, 95 % interval, n, paper";
    html += &table("Numbers", "claims numbers", header, rows([true, true], number));
    let header = "statement of the paper, where, why";
    html += &table("Not attempted", "claims", header, rows([false, false], not_attempted));
    html + "</section>\n"
}

fn table(title: &str, class: &str, header: &str, rows: Vec<Row>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let table = Table {
        caption: format!("<b>{title}</b>, from <code>claims.toml</code>; a heading sorts"),
        header: header.split(", ").map(str::to_owned).collect(),
        rows,
        attributes: format!("class=\"sortable {class}\""),
    };
    table.html()
}

fn statement(claim: &Claim, found: &Judgement) -> Row {
    let number = |value: Option<f64>| value.map(three).unwrap_or_default();
    let mut last = [found.p, found.p_holm, found.margin].map(number).to_vec();
    last.push(found.needed.map(|count| count.to_string()).unwrap_or_default());
    row(claim, found, with_sign, last)
}

fn number(claim: &Claim, found: &Judgement) -> Row {
    row(claim, found, three, found.paper.map(three).into_iter().collect())
}

fn not_attempted(claim: &Claim, found: &Judgement) -> Row {
    Row::of(vec![named(claim), escape(&claim.place), inline(&reason(found))])
}

fn row(claim: &Claim, found: &Judgement, shown: fn(f64) -> String, last: Vec<String>) -> Row {
    let mut cells = vec![
        named(claim),
        escape(&claim.place),
        verdict(claim, found),
        measured(claim, found),
        found.value.map(shown).unwrap_or_default(),
        interval(found, shown),
        found.n.to_string(),
    ];
    cells.extend(last);
    Row { cells, attributes: format!("class=\"{}\"", slug(found.verdict.text())) }
}

fn named(claim: &Claim) -> String {
    format!("<span id=\"claim-{}\">{}</span>", slug(&claim.id), inline(&claim.statement))
}

fn verdict(claim: &Claim, found: &Judgement) -> String {
    let is_exploratory = found.p.is_some() && !found.is_registered;
    let text = format!("{}{}", found.verdict.text(), if is_exploratory { " (exploratory)" } else { "" });
    let note = format!("{}{}", found.note, differs(claim, found));
    format!("<b>{} {text}</b>{}", found.verdict.mark(), small(&note))
}

/// In what our experiment differs from the paper's, where the verdict is not the paper's.
fn differs(claim: &Claim, found: &Judgement) -> String {
    let is_other = matches!(found.verdict, Verdict::Refuted | Verdict::Alike);
    claim.differs.as_ref().filter(|_| is_other).cloned().unwrap_or_default()
}

/// A note on a line of its own; nothing where there is none.
fn small(note: &str) -> String {
    let note = note.trim();
    if note.is_empty() { String::new() } else { format!("<br><small>{}</small>", inline(note)) }
}

/// The quantity, with a link to the section that it comes from.
fn measured(claim: &Claim, found: &Judgement) -> String {
    let quantity = inline(&found.quantity);
    let Decided::By { experiment, .. } = &claim.decided else { return quantity };
    let place = slug(&format!("{experiment}-{}", found.scale));
    format!(
        "{quantity}<br><small><a href=\"#{place}\">{} at {}</a></small>",
        escape(experiment),
        escape(&found.scale)
    )
}

fn reason(found: &Judgement) -> String {
    if found.scale.is_empty() {
        found.note.clone()
    } else {
        format!("at scale {}: {}", found.scale, found.note)
    }
}

fn interval(found: &Judgement, shown: fn(f64) -> String) -> String {
    found.interval.map(|(low, high)| format!("{} to {}", shown(low), shown(high))).unwrap_or_default()
}

/// Three decimals: "0.014".
fn three(value: f64) -> String {
    format!("{value:.3}").replace('-', "−")
}

/// Three decimals with a sign: "+0.014".
fn with_sign(value: f64) -> String {
    let text = format!("{value:+.3}").replace('-', "−");
    if text == "+0.000" || text == "−0.000" { "0.000".to_owned() } else { text }
}
