//! The part of the page about one experiment at one scale.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use results::{Status, Trial, metric_title, mmlu, short_name};

use crate::answers;
use crate::data;
use crate::error::Result;
use crate::experiments::Experiment;
use crate::html::{Block, Row, Table, escape, inline, markdown, slug};
use crate::measured::Measured;
use crate::pictures;
use crate::tables::{self, caption, files, rounded, stem};

pub struct Section<'a> {
    pub experiment: &'a Experiment,
    pub scale: &'a str,
    pub results: &'a Measured,
    /// `plots/<experiment>/<scale>`
    pub plots: &'a Path,
}

/// Parts of a section: fragment, title, and what is in it.
type Part = (&'static str, &'static str, String);

impl Section<'_> {
    /// Id of the section, `table1-mini`.
    pub fn anchor(&self) -> String {
        slug(&format!("{}-{}", self.experiment.name, self.scale))
    }

    pub fn title(&self) -> String {
        format!("{} at scale {}", self.experiment.name, self.scale)
    }

    /// The entry of the table of contents, and the section.
    pub fn html(&self) -> Result<(String, String)> {
        let anchor = self.anchor();
        let parts: Vec<Part> = self.parts()?.into_iter().filter(|(_, _, html)| !html.is_empty()).collect();
        let title = escape(&self.title());
        let mut entry = format!("<li><a href=\"#{anchor}\">{title}</a><ul>");
        let mut html =
            format!("<section class=\"experiment\" id=\"{anchor}\">\n<h2>{title}</h2>\n{}", self.head());
        for (name, title, part) in parts {
            let _ = write!(entry, "<li><a href=\"#{anchor}-{name}\">{title}</a></li>");
            let _ = write!(html, "<section id=\"{anchor}-{name}\">\n<h3>{title}</h3>\n{part}</section>\n");
        }
        let data = data::embedded(&data::json(self.results)?);
        let _ =
            writeln!(html, "<script type=\"application/json\" class=\"data\">{data}</script>\n</section>");
        Ok((entry + "</ul></li>\n", html))
    }

    fn parts(&self) -> Result<Vec<Part>> {
        Ok(vec![
            ("tables", "Tables", self.tables()?),
            ("figures", "Figures", self.figures()?),
            ("answers", "Answers before and after finetuning", answers::html(&self.results.trials)?),
            ("curves", "Curves of every trial", self.curves()),
            ("layers", "Every layer over time", self.layers()),
            ("trials", "Trials", self.trials()),
            ("lost", "Diverged and failed trials", self.lost()),
            ("environment", "Where and how this was run", self.environment()?),
            ("file", "Experiment file", self.file()),
        ])
    }

    fn head(&self) -> String {
        let (results, experiment) = (&self.results.trials, self.experiment);
        let counts = format!(
            "{} trials: {} done, {} diverged, {} failed",
            results.all().len(),
            results.count(Status::Done),
            results.count(Status::Diverged),
            results.count(Status::Failed)
        );
        let paper = match experiment.paper.as_slice() {
            [] => String::new(),
            places => format!("In the paper: {}. ", escape(&places.join(", "))),
        };
        let caution = match results.seeds().len() {
            1 => " <b>One seed</b>: what differs here may differ the other way round with the next.",
            _ => "",
        };
        format!(
            "<p class=\"question\">{}</p>\n<p>{paper}Decided by <code>{}</code>. {counts}.{caution}</p>\n",
            escape(&experiment.question),
            escape(&experiment.metric)
        )
    }

    fn tables(&self) -> Result<String> {
        let drawn = tables::html(self.plots, self.scale)?;
        let readme = self.results.folder.join("README.md");
        if !readme.exists() {
            return Ok(drawn);
        }
        let mut html = String::new();
        let blocks = markdown(&results::read(&readme, "`delora run` writes it")?);
        let at = blocks.iter().position(|block| matches!(block, Block::Table { .. }));
        for block in at.map_or(&[][..], |at| &blocks[at..]) {
            html += &match block {
                Block::Table { header, rows } => self.measured(header, rows),
                Block::Paragraph(text) => format!("<p class=\"note\">{}</p>\n", inline(text)),
                _ => String::new(),
            };
        }
        if drawn.is_empty() || html.is_empty() {
            return Ok(drawn + &html);
        }
        Ok(format!("{drawn}<details><summary>Everything measured</summary>\n{html}</details>\n"))
    }

    /// The runner's summary, less the subjects of MMLU, which have a table of their own.
    fn measured(&self, header: &[String], rows: &[Vec<String>]) -> String {
        let is_shown = |title: &&String| !mmlu::is_of_subject(title);
        let cells = |row: &Vec<String>| {
            let named = |(cell, title): (&String, &String)| match title.as_str() {
                "method" => escape(self.results.trials.method_title(cell)),
                _ => inline(cell),
            };
            let shown = row.iter().zip(header).filter(|(_, title)| is_shown(title));
            Row::of(shown.map(named).collect())
        };
        let table = Table {
            caption: "<b>Everything measured</b>, means over the replicates".to_owned(),
            header: header.iter().filter(is_shown).map(|title| escape(&column_title(title))).collect(),
            rows: rows.iter().map(cells).collect(),
            attributes: String::new(),
        };
        table.html()
    }

    /// Drawings first; a PNG only where there is no drawing of its name.
    fn figures(&self) -> Result<String> {
        let drawings = files(self.plots, "svg");
        let has_drawing = |name: &str| drawings.iter().any(|path| stem(path) == name);
        let pictures = files(self.plots, "png");
        let alone = pictures.iter().filter(|path| !has_drawing(&stem(path)));
        let mut html = String::new();
        for path in drawings.iter().chain(alone) {
            let name = stem(path);
            let said = caption(&name);
            let figure = match path.extension().is_some_and(|extension| extension == "svg") {
                true => pictures::svg(path, &format!("{}-{}", self.anchor(), slug(&name)), &said)?,
                false => pictures::png(path, &said)?,
            };
            let _ = writeln!(html, "<figure>{figure}<figcaption>{}</figcaption></figure>", escape(&said));
        }
        Ok(html)
    }

    fn curves(&self) -> String {
        if self.results.curves.is_empty() {
            return String::new();
        }
        let mut metrics: Vec<&str> = self.results.curves.iter().map(|curve| curve.metric.as_str()).collect();
        metrics.sort_unstable();
        metrics.dedup();
        metrics.sort_by_key(|metric| *metric != "loss");
        let metrics: Vec<(&str, &str)> =
            metrics.into_iter().map(|metric| (metric, metric_title(metric))).collect();
        format!(
            "<p class=\"note\">A line per trial; point at one to see its settings. Long curves are means over equal windows \
             of steps. Method, status and search of the filter under “Trials” hold here too.</p>\n\
             <form class=\"controls\">{}{}{}</form>\n<div class=\"chart\" data-chart=\"curves\"></div>\n",
            select("metric", "Metric", &metrics),
            select("method", "Method", &self.method_options()),
            select("axis", "Axis", &[("linear", "linear"), ("log", "logarithmic")]),
        )
    }

    fn layers(&self) -> String {
        let has = |trial: &Trial| {
            self.results.folder.join("pictures").join(format!("{}.telemetry.csv", trial.id)).exists()
        };
        if !self.results.trials.all().iter().any(has) {
            return String::new();
        }
        let quantities = [
            ("distance", "distance ‖W′ − W‖"),
            ("bound_use", "bound use, distance / bound"),
            ("strength", "λ"),
        ];
        format!(
            "<p class=\"note\">A line per method and settings, the mean over seeds{}. The bound is the largest \
             distance that a method allows at its λ; methods without one have no bound use.</p>\n\
             <form class=\"controls\">{}{}{}{}</form>\n<div class=\"chart\" data-chart=\"layers\"></div>\n",
            if self.results.trials.has_subjects() {
                format!(" and {}s", self.results.trials.task().noun)
            } else {
                String::new()
            },
            select("quantity", "Quantity", &quantities),
            select("layer", "Layer", &[]),
            select("method", "Method", &self.method_options()),
            select("axis", "Axis", &[("linear", "linear"), ("log", "logarithmic")]),
        )
    }

    fn method_options(&self) -> Vec<(&str, &str)> {
        let trials = &self.results.trials;
        let named = trials.methods().into_iter().map(|method| (method, trials.method_title(method)));
        std::iter::once(("", "all")).chain(named).collect()
    }

    fn trials(&self) -> String {
        let results = &self.results.trials;
        let (varying, metrics) = (results.varying(), results.metrics());
        let subject = results.has_subjects().then(|| results.task().noun);
        let names = ["trial", "method"].into_iter().chain(subject).chain(["seed"]);
        let mut header: Vec<String> = names.map(str::to_owned).collect();
        header.extend(varying.iter().map(|setting| escape(&short_name(setting))));
        header.push("status".to_owned());
        header.extend(metrics.iter().map(|metric| escape(metric_title(metric))));
        header.push("seconds".to_owned());
        let row = |(index, trial): (usize, &Trial)| {
            let mut cells = vec![
                format!("<code>{}</code>", escape(&trial.id)),
                escape(results.method_title(&trial.method)),
            ];
            cells.extend(subject.map(|_| escape(&trial.subject)));
            cells.push(escape(&trial.seed));
            cells.extend(varying.iter().map(|setting| escape(results.setting(trial, setting))));
            cells.push(escape(trial.status.name()));
            let numbers = metrics.iter().copied().chain(["train_seconds"]);
            cells
                .extend(numbers.map(|metric| results.number(trial, metric).map(rounded).unwrap_or_default()));
            let attributes = format!(
                "data-trial=\"{index}\" data-method=\"{}\" data-status=\"{}\"{}",
                escape(&trial.method),
                escape(trial.status.name()),
                if trial.chosen { "" } else { " class=\"passed-over\"" }
            );
            Row { cells, attributes }
        };
        let table = Table {
            caption: format!("<b>All {} trials</b>; a heading sorts", results.all().len()),
            header,
            rows: results.all().iter().enumerate().map(row).collect(),
            attributes: "class=\"sortable trials\"".to_owned(),
        };
        let passed_over = match results.all().iter().any(|trial| !trial.chosen) {
            true => "<p class=\"note\">Trials in italics are of settings that the search passed over.</p>\n",
            false => "",
        };
        let statuses = [("", "all"), ("done", "done"), ("diverged", "diverged"), ("failed", "failed")];
        format!(
            "<form class=\"controls filter\">{}{}<label>Search <input name=\"search\" type=\"search\" \
             placeholder=\"any text of a row\"></label> <output>{} trials</output></form>\n{passed_over}\
             <div class=\"tall\">{}</div>\n",
            select("method", "Method", &self.method_options()),
            select("status", "Status", &statuses),
            results.all().len(),
            table.html(),
        )
    }

    fn lost(&self) -> String {
        let results = &self.results.trials;
        let lost: Vec<&Trial> = results.all().iter().filter(|trial| trial.status != Status::Done).collect();
        if lost.is_empty() {
            return "<p>None.</p>\n".to_owned();
        }
        let subject = results.has_subjects().then(|| results.task().noun);
        let row = |trial: &&Trial| {
            let step = results.text(trial, "diverged_step");
            let what = match trial.status {
                Status::Diverged if step.is_empty() => "diverged".to_owned(),
                Status::Diverged => format!("diverged at step {step}"),
                status => format!("{}: {}", status.name(), results.text(trial, "message")),
            };
            let id = format!("<code>{}</code>", escape(&trial.id));
            let mut cells = vec![id, escape(results.method_title(&trial.method))];
            cells.extend(subject.map(|_| escape(&trial.subject)));
            cells.extend([trial.seed.as_str(), &results.described(trial), &what].map(escape));
            Row::of(cells)
        };
        let names = ["trial", "method"].into_iter().chain(subject);
        let header = names.chain(["seed", "settings", "what happened"]);
        let table = Table {
            caption: format!("<b>{} trials without a score</b>", lost.len()),
            header: header.map(str::to_owned).collect(),
            rows: lost.iter().map(row).collect(),
            attributes: String::new(),
        };
        table.html()
    }

    fn environment(&self) -> Result<String> {
        let results = &self.results.trials;
        let readme = self.results.folder.join("README.md");
        let readme =
            if readme.exists() { results::read(&readme, "`delora run` writes it")? } else { String::new() };
        let said = |key: &str| {
            let line = readme.lines().find_map(|line| line.strip_prefix(&format!("- {key}: ")));
            line.map(|value| value.replace('`', ""))
        };
        let dirty = match results.distinct("dirty").as_slice() {
            [] => "not recorded",
            ["false"] => "no",
            ["true"] => "yes",
            _ => "of some trials",
        };
        let time = |time: Option<&&str>| time.map_or("", |time| *time).to_owned();
        let (first, last) = (results.distinct("started"), results.distinct("finished"));
        let seconds: f64 =
            results.all().iter().filter_map(|trial| results.number(trial, "train_seconds")).sum();
        let facts = [
            ("Machine", said("Machine").unwrap_or_default()),
            ("Device", results.distinct("device").join(", ")),
            ("libtorch", results.distinct("libtorch").join(", ")),
            ("Commit", results.distinct("commit").join(", ")),
            ("Uncommitted changes", dirty.to_owned()),
            ("Run", format!("{} to {}", time(first.first()), time(last.last()))),
            ("Training alone", format!("{seconds:.0} s over all trials")),
        ];
        let facts: String = facts
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("<dt>{key}</dt><dd>{}</dd>", escape(value)))
            .collect();
        Ok(format!(
            "<dl>{facts}</dl>\n<p>Every number and figure of this section comes from these commands, in the root of the \
             repository; trials that are finished there are not run again.</p>\n<pre>{}</pre>\n",
            escape(&self.commands(said("Command")))
        ))
    }

    /// What to type for these results; `run` is the command that the results name.
    fn commands(&self, run: Option<String>) -> String {
        let file = self.experiment.path.display();
        let scale = if self.scale == "mini" { String::new() } else { format!(" --scale {}", self.scale) };
        let run = run.map_or_else(|| format!("delora run {file}{scale}"), |run| run.replace("; ", "\n"));
        let commits = self.results.trials.distinct("commit");
        let dirty = self.results.trials.distinct("dirty").contains(&"true");
        let before = match (commits.as_slice(), dirty) {
            ([commit], false) => format!("git checkout {commit}\n"),
            ([commit], true) => {
                format!(
                    "# with changes that were not committed, so this may give other numbers\ngit checkout {commit}\n"
                )
            }
            (commits, _) => format!("# rows of {} commits: `trials.csv` says which\n", commits.len()),
        };
        format!("{before}{run}\ndelora plots {file}{scale}\n")
    }

    /// The experiment file and those that it includes.
    fn file(&self) -> String {
        let experiment = self.experiment;
        let files = std::iter::once((&experiment.path, &experiment.text));
        let named = experiment.included.iter().map(|(path, text)| (path, text));
        let html = |(path, text): (&PathBuf, &String)| {
            format!(
                "<details><summary><code>{}</code></summary><pre>{}</pre></details>\n",
                escape(&path.display().to_string()),
                escape(text)
            )
        };
        files.chain(named).map(html).collect()
    }
}

/// A column of the runner's summary: a metric or a setting, or the best value of one.
fn column_title(column: &str) -> String {
    match column.strip_prefix("best ") {
        Some(setting) => format!("best {}", short_name(setting)),
        None if metric_title(column) != column => metric_title(column).to_owned(),
        None => short_name(column),
    }
}

fn select(name: &str, title: &str, options: &[(&str, &str)]) -> String {
    let option = |(value, text): &(&str, &str)| {
        format!("<option value=\"{}\">{}</option>", escape(value), escape(text))
    };
    let options: String = options.iter().map(option).collect();
    format!("<label>{title} <select name=\"{name}\">{options}</select></label> ")
}
