//! How well label maps agree: mean intersection over union, and pixel accuracy, as ADE20K's benchmark has them.

use tch::{Device, Kind, Tensor};

/// What can be wrong with label maps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentationError {
    #[error("label maps differ in shape: {predicted:?} predicted, {labels:?} given")]
    Shapes { predicted: Vec<i64>, labels: Vec<i64> },
    #[error("{what} label {found} is outside of {first} to {last}")]
    Label { what: &'static str, found: i64, first: i64, last: i64 },
    #[error("no pixel has a label, so that there is nothing to score")]
    NothingLabelled,
}

/// Scores of all pixels that were added.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationScores {
    /// Mean of `class_iou`.
    pub mean_iou: f64,
    /// Share of labelled pixels that are right.
    pub pixel_accuracy: f64,
    /// Intersection over union of each class; 0 for a class that occurs neither in labels nor in predictions.
    pub class_iou: Vec<f64>,
}

/// Counts of pixels by label and prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[classes, classes]`, a row for each label.
    counts: Vec<u64>,
}

/// Keeps a class without pixels from dividing by zero, as in the reference.
const EMPTY_UNION: f64 = 1e-10;

impl Confusion {
    /// For labels 1 to `classes`, and 0 for pixels that have none.
    pub fn new(classes: usize) -> Confusion {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Adds the pixels of `predicted` and `labels`, whole numbers of one shape. Pixels without a label do not count.
    ///
    /// Errors: other shapes; a prediction outside of 1 to `classes`, a label outside of 0 to `classes`.
    pub fn add(&mut self, predicted: &Tensor, labels: &Tensor) -> Result<(), SegmentationError> {
        if predicted.size() != labels.size() {
            return Err(SegmentationError::Shapes { predicted: predicted.size(), labels: labels.size() });
        }
        let last = self.classes as i64;
        let predicted = checked("predicted", predicted, 1, last)?;
        let labels = checked("given", labels, 0, last)?;
        let pairs = labels * (last + 1) + predicted; // a number for each pair
        let counts = pairs.bincount(None::<&Tensor>, (last + 1) * (last + 1)).to_device(Device::Cpu);
        let counts = Vec::<i64>::try_from(counts).expect("counts are whole numbers");
        let rows = counts.chunks(self.classes + 1).skip(1).flat_map(|row| &row[1..]);
        for (sum, &count) in self.counts.iter_mut().zip(rows) {
            *sum += count as u64;
        }
        Ok(())
    }

    /// Scores of what was added.
    ///
    /// Errors: no pixel has a label.
    pub fn scores(&self) -> Result<SegmentationScores, SegmentationError> {
        let at = |label: usize, prediction: usize| self.counts[label * self.classes + prediction];
        let labelled: u64 = self.counts.iter().sum();
        if labelled == 0 {
            return Err(SegmentationError::NothingLabelled);
        }
        let iou = |class: usize| {
            let right = at(class, class);
            let given: u64 = (0..self.classes).map(|prediction| at(class, prediction)).sum();
            let predicted: u64 = (0..self.classes).map(|label| at(label, class)).sum();
            right as f64 / ((given + predicted - right) as f64 + EMPTY_UNION)
        };
        let class_iou: Vec<f64> = (0..self.classes).map(iou).collect();
        let right: u64 = (0..self.classes).map(|class| at(class, class)).sum();
        Ok(SegmentationScores {
            mean_iou: class_iou.iter().sum::<f64>() / self.classes as f64,
            pixel_accuracy: right as f64 / labelled as f64,
            class_iou,
        })
    }
}

/// `labels` as whole numbers in a row, all between `first` and `last`.
fn checked(what: &'static str, labels: &Tensor, first: i64, last: i64) -> Result<Tensor, SegmentationError> {
    let labels = labels.to_kind(Kind::Int64).flatten(0, -1);
    if labels.numel() > 0 {
        let outside = [labels.min(), labels.max()].map(|extreme| extreme.int64_value(&[]));
        if let Some(&found) = outside.iter().find(|&&label| label < first || label > last) {
            return Err(SegmentationError::Label { what, found, first, last });
        }
    }
    Ok(labels)
}
