//! SIGKILL at random moments of a sweep with two banks at once. `TORTURE` is the number of kills, 30 by default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::study::{FILE, Study, TRIALS, stop};

const KILLS: u64 = 30;

#[test]
fn kills_at_random_moments_lose_no_finished_trial_and_change_no_result() {
    kill(FILE);
}

#[test]
fn kills_of_a_sweep_that_tunes_first_change_neither_what_is_chosen_nor_its_test() {
    // 2 methods x 3 multipliers with one seed, then the best of each with three more: as many trials as in the other.
    let tuning =
        "[tuning]\nseeds = [0]\nmetric = \"score\"\n[nuisance]\nrate_multiplier = [0.5, 1, 2]\n[fixed]";
    let text = FILE.replace("[fixed]", tuning).replace("seeds = [0, 1, 2]\nre", "seeds = [0, 1, 2, 3]\nre");
    kill(&text.replace("first = 2", "first = 1"));
}

fn kill(text: &str) {
    let wanted = std::env::var("TORTURE").map_or(KILLS, |count| count.parse().unwrap());
    let uninterrupted = Study::of(text);
    uninterrupted.finish();
    let expected = uninterrupted.tables();
    let (mut kills, mut partial, mut with_checkpoint, mut finished_at_kills, mut studies) = (0, 0, 0, 0, 0);
    while kills < wanted {
        let study = Study::of(text);
        studies += 1;
        let mut finished: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
        while kills < wanted {
            let lines = study.log_lines().len();
            let mut child = study.start(8);
            // Anywhere from before the lock to the last tables.
            let hash = blake3::hash(format!("{kills} {studies}").as_bytes());
            std::thread::sleep(Duration::from_millis(5 + u64::from(hash.as_bytes()[0])));
            let killed = stop(&mut child);
            let records = study.records();
            for (path, bytes) in &finished {
                assert_eq!(records.get(path), Some(bytes), "a finished trial is lost or was written again");
                let id = path.file_stem().unwrap().to_string_lossy().to_string();
                assert!(!study.log_lines()[lines..].contains(&id), "{id} was finished and run again");
            }
            finished = records;
            if !killed {
                break;
            }
            kills += 1;
            finished_at_kills += finished.len();
            partial += u64::from(!finished.is_empty() && finished.len() < TRIALS);
            with_checkpoint += u64::from(study.checkpoint_step().is_some());
        }
        study.recover(&finished, &expected);
    }
    println!(
        "{kills} kills at random moments in {studies} sweeps: {partial} met some trials finished and some open, \
         {with_checkpoint} a checkpoint; {finished_at_kills} results stood at the kills, 0 were lost"
    );
    assert!(partial > 0, "no kill met a sweep with some finished and some open trials");
    assert!(with_checkpoint > 0, "no kill met a checkpoint");
}
