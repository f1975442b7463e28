//! What banks of a task take, measured once for trials that take the same.

use runner::Workload;
use serde_json::Value;

use crate::bank_size::fitting;
use crate::cost::free_bytes;
use crate::machine::with_threads_of_a_worker;
use crate::rehearsal::{BankCost, rehearse};
use crate::settings::Settings;
use crate::task::{Finetuning, Task};

impl<T: Task> Finetuning<T> {
    /// What a bank of trials with this config takes, from updates of small ones; `None` where nothing is trained. An error's text
    /// where not even one trial could be rehearsed.
    pub(crate) fn bank_cost(&self, config: &Value) -> Option<Result<BankCost, String>> {
        let settings = Settings::<T::Own>::read(config).ok().filter(Settings::trains)?;
        let is_cuda = device::here().is_cuda();
        // Neither seeds nor learning rates change what it takes, and methods change time by less than the sizes of banks do.
        let method = T::trial(&settings, 1).method;
        let method = is_cuda.then(|| format!("{} {:?}", method.name, method.settings));
        let key = format!("{} {method:?}", self.bank_key(config));
        let measure = || match is_cuda {
            true => BankCost::measure(usize::MAX, |count| rehearse(&*self.own(), config, count)),
            // With what a worker has.
            false => with_threads_of_a_worker(|| {
                BankCost::measure(self.fitting_on_cpu(config), |count| rehearse(&*self.own(), config, count))
            }),
        };
        let cost = self.costs.get(key, || Ok::<_, ()>(measure().map_err(|error| format!("{error:#}"))));
        cost.ok()
    }

    /// The trials of a bank for which this computer has memory beside the other workers' banks, as far as is known.
    pub(crate) fn fitting_on_cpu(&self, config: &Value) -> usize {
        let free = free_bytes().zip(self.estimate(config, 1));
        free.map_or(usize::MAX, |(free, each)| {
            fitting(free / device::chosen().len() as u64, each.frozen_bytes, each.memory_bytes)
        })
    }
}
