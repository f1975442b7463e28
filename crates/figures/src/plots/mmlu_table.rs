//! MMLU by category and by subject, as Markdown and CSV.
//!
//! A category's accuracy is the plain mean over its subjects, as `mmlu` is over all; beside it stands the mean weighted
//! by the subjects' numbers of questions. Subjects that are not MMLU's have no category.

use results::mmlu::{CATEGORIES, MMLU, QUESTIONS, SUBJECT, category, subjects_of};
use results::{Series, Trial, Trials};

use crate::drawing::{Drawing, full, listed, markdown};
use crate::error::{FiguresError, Result};
use crate::tables::{ABSENT, Cell, in_percent, paper_table, rows_run};

/// Subjects that are told of together.
pub struct Group<'a> {
    pub title: String,
    pub kind: Kind,
    pub subjects: Vec<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    All,
    Category,
    Subject,
}

/// How subjects of a group are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    Plain,
    ByQuestions,
}

/// Accuracies on MMLU.
pub struct Subjects<'a> {
    pub trials: &'a Trials,
    /// In the order of Table 5.
    pub series: Vec<Series<'a>>,
    /// All subjects; then each category before its subjects; then subjects without one.
    pub groups: Vec<Group<'a>>,
}

impl<'a> Subjects<'a> {
    pub fn of(trials: &'a Trials) -> Result<Self> {
        trials.column(&[MMLU])?;
        let all = subjects_of(trials);
        if all.is_empty() {
            let what = format!("column `{SUBJECT}<subject>` with a number");
            return Err(FiguresError::nothing(
                trials.path(),
                what,
                "run the experiment, it asks every subject",
            ));
        }
        let of = |wanted: Option<&str>| -> Vec<&'a str> {
            all.iter().copied().filter(|subject| category(subject) == wanted).collect()
        };
        let alone = |subject: &'a str| {
            let title = subject.replace('_', " ");
            Group { title, kind: Kind::Subject, subjects: vec![subject] }
        };
        let mut groups =
            vec![Group { title: "all subjects".to_owned(), kind: Kind::All, subjects: all.clone() }];
        for name in CATEGORIES {
            let subjects = of(Some(name));
            if !subjects.is_empty() {
                let title = name.to_owned();
                groups.push(Group { title, kind: Kind::Category, subjects: subjects.clone() });
                groups.extend(subjects.into_iter().map(alone));
            }
        }
        groups.extend(of(None).into_iter().map(alone));
        Ok(Self { trials, series: rows_run(paper_table!("table5"), trials), groups })
    }

    /// `mmlu_categories.md` and `mmlu_categories.csv`.
    pub fn write(&self, name: &str) -> [Drawing; 2] {
        let mut rows = Vec::new();
        for series in &self.series {
            rows.extend(self.groups.iter().map(|group| self.csv_row(*series, group)));
        }
        // A row without a subject is of a category, one without either of all subjects.
        let header = listed(
            "method, title, category, subject, subjects, questions, n, mean, std, mean_by_questions, std_by_questions",
        );
        [
            Drawing::text(format!("{name}.md"), self.markdown()),
            Drawing::csv(format!("{name}.csv"), header, rows),
        ]
    }

    pub fn cell(&self, series: Series<'a>, group: &Group, mean: Mean) -> Cell<'a> {
        Cell::of_values(self.trials.of(series), |trial| self.value(trial, group, mean))
    }

    /// The accuracy of one trial in percent; absent where a subject was not asked. The plain mean over all is the trial's own.
    fn value(&self, trial: &Trial, group: &Group, mean: Mean) -> Option<f64> {
        if (group.kind, mean) == (Kind::All, Mean::Plain) {
            return in_percent(self.trials, trial, MMLU);
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        for subject in &group.subjects {
            let weight = match mean {
                Mean::Plain => 1.0,
                Mean::ByQuestions => self.trials.number(trial, &format!("{QUESTIONS}{subject}"))?,
            };
            sum += weight * in_percent(self.trials, trial, &format!("{SUBJECT}{subject}"))?;
            weights += weight;
        }
        (weights > 0.0).then(|| sum / weights)
    }

    /// The number of questions of a group, where a trial has that of each subject.
    fn questions(&self, group: &Group) -> Option<f64> {
        let of_trial = |trial: &Trial| -> Option<f64> {
            let counts = group.subjects.iter();
            counts.map(|subject| self.trials.number(trial, &format!("{QUESTIONS}{subject}"))).sum()
        };
        self.trials.all().iter().find_map(of_trial)
    }

    /// Whether the trials have the subjects' numbers of questions.
    pub fn has_questions(&self) -> bool {
        self.questions(&self.groups[0]).is_some()
    }

    fn markdown(&self) -> String {
        let of_kind = |kind: Kind| self.groups.iter().filter(move |group| group.kind == kind);
        let mut header = listed("method");
        header.extend(of_kind(Kind::Category).map(|group| group.title.clone()));
        header.extend(["MMLU", "MMLU, by questions"].map(str::to_owned));
        let row = |series: &Series<'a>| {
            let plain = |group: &Group| self.cell(*series, group, Mean::Plain).text(2);
            let mut row = vec![self.trials.title(*series)];
            row.extend(of_kind(Kind::Category).map(plain));
            row.push(plain(&self.groups[0]));
            row.push(
                self.cell(*series, &self.groups[0], Mean::ByQuestions)
                    .numbers(2)
                    .unwrap_or(ABSENT.to_owned()),
            );
            row
        };
        let by_category = markdown(&header, &self.series.iter().map(row).collect::<Vec<_>>());
        let mut header = listed("subject, category, questions");
        header.extend(self.series.iter().map(|series| self.trials.title(*series)));
        let row = |group: &Group| {
            let mut row = vec![group.title.clone(), category(group.subjects[0]).unwrap_or(ABSENT).to_owned()];
            row.push(self.questions(group).map_or(ABSENT.to_owned(), |count| count.to_string()));
            let cell = |series: &Series<'a>| self.cell(*series, group, Mean::Plain).numbers(1);
            row.extend(self.series.iter().map(|series| cell(series).unwrap_or(ABSENT.to_owned())));
            row
        };
        let by_subject = markdown(&header, &of_kind(Kind::Subject).map(row).collect::<Vec<_>>());
        format!(
            "{by_category}\nAccuracy in percent: mean ± standard deviation over the seeds {}, in brackets how many of them. A category and \
             MMLU are plain means over their subjects; “by questions” weighs each subject by the number of its questions. Categories are \
             those of Hendrycks et al. 2021; {ABSENT} is not known, and a subject of another test than MMLU has no category.\n\n{by_subject}",
            self.trials.seeds().join(", "),
        )
    }

    fn csv_row(&self, series: Series<'a>, group: &Group) -> Vec<String> {
        let (name, of) = match group.kind {
            Kind::All => ("", ""),
            Kind::Category => ("", group.title.as_str()),
            Kind::Subject => (group.subjects[0], category(group.subjects[0]).unwrap_or_default()),
        };
        let mut row =
            vec![series.method.to_owned(), self.trials.title(series), of.to_owned(), name.to_owned()];
        row.extend([group.subjects.len() as f64].map(|count| count.to_string()));
        row.push(full(self.questions(group)));
        let (plain, weighted) =
            (self.cell(series, group, Mean::Plain), self.cell(series, group, Mean::ByQuestions));
        row.push(plain.spread.n.to_string());
        row.extend([plain.spread.mean, plain.spread.std_trials].map(full));
        row.extend([weighted.spread.mean, weighted.spread.std_trials].map(full));
        row
    }
}
