//! Training against PEFT and transformers, and exams against lm-evaluation-harness, on the files made by
//! `tools/goldens/llama_training.py`, `harness.py` and `harness_old.py`.

mod lm_eval;
mod training;
