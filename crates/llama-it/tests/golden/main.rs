//! Training against PEFT and transformers, chat templates against transformers, and exams against lm-evaluation-harness, on the files made by
//! `tools/goldens/llama_training.py`, `chat.py`, `harness.py` and `harness_old.py`.

mod chat;
mod lm_eval;
mod training;
