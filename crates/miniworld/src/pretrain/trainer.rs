//! One network in training: AdamW with a cosine rate, an exponential moving average, and checkpoints.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use models::save_weights;
use tch::{Device, Kind, Tensor, nn};

/// How a network is trained.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub steps: u64,
    pub learning_rate: f64,
    pub warmup_steps: u64,
    pub weight_decay: f64,
    /// Decay of the moving average that is evaluated and shipped.
    pub ema: f64,
}

const BETAS: (f64, f64) = (0.9, 0.99);
const EPS: f64 = 1e-8;
const CLIP_NORM: f64 = 1.0;
const CHECKPOINT_SECONDS: u64 = 60;

/// A trainable tensor with the optimizer's memory of it.
struct Parameter {
    name: String,
    value: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    average: Tensor,
    decays: bool,
}

/// See the module's header.
pub struct Trainer {
    parameters: Vec<Parameter>,
    /// What is not trained but changes: running means and variances.
    buffers: Vec<(String, Tensor)>,
    schedule: Schedule,
    step: u64,
    folder: PathBuf,
    log: Log,
    saved: Instant,
}

impl Trainer {
    /// Takes the trainable variables of `store`; goes on from the checkpoint in `folder` where there is one.
    pub fn new(store: &nn::VarStore, schedule: Schedule, folder: &Path) -> Result<Trainer> {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        let (trained, buffers): (Vec<_>, Vec<_>) =
            named(store).into_iter().partition(|(_, value)| value.requires_grad());
        let parameters: Vec<Parameter> = trained
            .into_iter()
            .map(|(name, value)| Parameter {
                first_moment: value.zeros_like(),
                second_moment: value.zeros_like(),
                average: value.detach().copy(),
                decays: value.dim() > 1,
                name,
                value,
            })
            .collect();
        let (folder, log) = (folder.to_owned(), Log::default());
        let mut trainer =
            Trainer { parameters, buffers, schedule, step: 0, folder, log, saved: Instant::now() };
        trainer.resume()?;
        Ok(trainer)
    }

    /// Steps made so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Whether all steps are made.
    pub fn is_done(&self) -> bool {
        self.step >= self.schedule.steps
    }

    /// One step down the gradient of `loss`; logs, and saves a checkpoint when a minute has passed.
    pub fn update(&mut self, loss: &Tensor, examples: usize) -> Result<()> {
        let values: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        self.descend(loss, &gradients, examples)
    }

    /// One step for `gradients`, in the order of [`named`].
    pub fn descend(&mut self, loss: &Tensor, gradients: &[Tensor], examples: usize) -> Result<()> {
        gradient_mode::off(|| self.adamw(gradients));
        self.step += 1;
        self.log.add(loss, examples);
        if self.step.is_multiple_of(20) || self.is_done() {
            self.log.flush(self.step, self.rate(), &self.folder)?;
        }
        if self.saved.elapsed().as_secs() >= CHECKPOINT_SECONDS || self.is_done() {
            self.save()?;
            self.saved = Instant::now();
        }
        Ok(())
    }

    fn rate(&self) -> f64 {
        let Schedule { steps, learning_rate, warmup_steps, .. } = self.schedule;
        if self.step < warmup_steps {
            return learning_rate * (self.step + 1) as f64 / warmup_steps as f64;
        }
        let progress = (self.step - warmup_steps) as f64 / (steps - warmup_steps).max(1) as f64;
        learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos()))
    }

    fn adamw(&mut self, gradients: &[Tensor]) {
        let norms: Vec<Tensor> =
            gradients.iter().filter(|gradient| gradient.defined()).map(Tensor::norm).collect();
        let norm = f64::try_from(Tensor::stack(&norms, 0).norm()).expect("a norm is a number");
        if !norm.is_finite() {
            return; // a bad batch is skipped
        }
        let clip = (CLIP_NORM / (norm + 1e-6)).min(1.0);
        let rate = self.rate();
        let time = (self.step + 1) as i32;
        let correction = (1.0 - BETAS.1.powi(time)).sqrt() / (1.0 - BETAS.0.powi(time));
        let ema = self.schedule.ema.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            if !gradient.defined() {
                continue;
            }
            let gradient = gradient * clip;
            if parameter.decays {
                let _ = parameter.value.g_mul_scalar_(1.0 - rate * self.schedule.weight_decay);
            }
            let _ = parameter.first_moment.lerp_(&gradient, 1.0 - BETAS.0);
            let _ = parameter.second_moment.lerp_(&(&gradient * &gradient), 1.0 - BETAS.1);
            let scale = parameter.second_moment.sqrt() + EPS;
            let update = &parameter.first_moment / scale * (-rate * correction);
            let _ = parameter.value.g_add_(&update);
            let _ = parameter.average.lerp_(&parameter.value, 1.0 - ema);
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    fn save(&self) -> Result<()> {
        let mut tensors = vec![("step".to_owned(), Tensor::from(self.step as i64).to_kind(Kind::Double))];
        for parameter in &self.parameters {
            let Parameter { name, value, first_moment, second_moment, average, .. } = parameter;
            let states =
                [("value", value), ("first", first_moment), ("second", second_moment), ("average", average)];
            tensors.extend(states.map(|(state, tensor)| (format!("{state}/{name}"), tensor.shallow_clone())));
        }
        let buffers = self.buffers.iter();
        tensors.extend(buffers.map(|(name, value)| (format!("buffer/{name}"), value.shallow_clone())));
        Ok(save_weights(&tensors, Kind::Float, &self.checkpoint())?)
    }

    fn resume(&mut self) -> Result<()> {
        let path = self.checkpoint();
        if !path.exists() {
            return Ok(());
        }
        let tensors: std::collections::HashMap<String, Tensor> = Tensor::read_safetensors(&path)
            .with_context(|| format!("{}: cannot be read; move it away to start over", path.display()))?
            .into_iter()
            .collect();
        let get = |name: String| {
            tensors.get(&name).with_context(|| {
                format!("{}: `{name}` is missing; move the file away to start over", path.display())
            })
        };
        self.step = f64::try_from(get("step".to_owned())?)? as u64;
        for (name, value) in &mut self.buffers {
            let stored = get(format!("buffer/{name}"))?;
            gradient_mode::off(|| value.copy_(stored));
        }
        for parameter in &mut self.parameters {
            let Parameter { name, value, first_moment, second_moment, average, .. } = parameter;
            let states =
                [("value", value), ("first", first_moment), ("second", second_moment), ("average", average)];
            for (state, tensor) in states {
                let stored = get(format!("{state}/{name}"))?;
                gradient_mode::off(|| tensor.copy_(stored));
            }
        }
        terminal::notice(format_args!("{}: goes on from step {}", self.folder.display(), self.step));
        Ok(())
    }

    /// Puts the moving average into the network, for evaluation or shipping.
    pub fn use_average(&mut self) {
        gradient_mode::off(|| {
            for parameter in &mut self.parameters {
                parameter.value.copy_(&parameter.average);
            }
        });
    }
}

/// Mean loss and speed since the last line.
struct Log {
    losses: Vec<Tensor>,
    examples: usize,
    started: Instant,
}

impl Default for Log {
    fn default() -> Log {
        Log { losses: Vec::new(), examples: 0, started: Instant::now() }
    }
}

impl Log {
    fn add(&mut self, loss: &Tensor, examples: usize) {
        self.losses.push(loss.detach());
        self.examples += examples;
    }

    fn flush(&mut self, step: u64, rate: f64, folder: &Path) -> Result<()> {
        use std::io::Write;
        let loss = f64::try_from(Tensor::stack(&self.losses, 0).mean(Kind::Double))?;
        let speed = self.examples as f64 / self.started.elapsed().as_secs_f64();
        terminal::notice(format_args!("step {step}  loss {loss:.5}  rate {rate:.2e}  {speed:.0} examples/s"));
        let path = folder.join("log.csv");
        let is_new = !path.exists();
        let mut file = std::fs::File::options().create(true).append(true).open(&path)?;
        if is_new {
            writeln!(file, "step,loss,learning_rate,examples_per_second")?;
        }
        writeln!(file, "{step},{loss},{rate},{speed}")?;
        *self = Log::default();
        Ok(())
    }
}

/// Copies of a network that share their weights, one per core: several small passes side by side keep a CPU busier
/// than one pass whose every operation is split.
pub struct Replicas<N> {
    replicas: Vec<(N, Vec<Tensor>)>,
}

impl<N: Send> Replicas<N> {
    /// `count` networks as `build` makes them, on the weights of `store`, which say what is trained.
    pub fn new(store: &nn::VarStore, count: usize, build: impl Fn(&nn::Path) -> N) -> Replicas<N> {
        let originals = named(store);
        let replicas = (0..count).map(|_| {
            let copy = nn::VarStore::new(store.device());
            let network = build(&copy.root());
            let mut variables = named(&copy);
            for ((_, variable), (_, original)) in variables.iter_mut().zip(&originals) {
                variable.set_data(&original.detach());
                let _ = variable.requires_grad_(original.requires_grad());
            }
            variables.retain(|(_, variable)| variable.requires_grad());
            (network, variables.into_iter().map(|(_, variable)| variable).collect())
        });
        Replicas { replicas: replicas.collect() }
    }

    pub fn len(&self) -> usize {
        self.replicas.len()
    }

    /// Loss and gradients, as [`Replicas::gradients`] gives them, of `inputs` whose rows are shared out evenly.
    pub fn gradients_of_rows<const COLUMNS: usize>(
        &mut self,
        inputs: [Tensor; COLUMNS],
        loss: impl Fn(&N, [Tensor; COLUMNS]) -> Tensor + Sync,
    ) -> (Tensor, Vec<Tensor>) {
        let part = inputs[0].size()[0] / self.len() as i64;
        let mut columns = inputs.map(|input| input.split(part, 0).into_iter());
        let parts = (0..self.len()).map(|_| {
            columns.each_mut().map(|column| column.next().expect("the batch divides by the replicas"))
        });
        self.gradients(parts.collect(), loss)
    }

    /// Mean loss and mean gradients of what is trained, in the order of [`named`], of one part of a batch per replica.
    pub fn gradients<I: Send>(
        &mut self,
        parts: Vec<I>,
        loss: impl Fn(&N, I) -> Tensor + Sync,
    ) -> (Tensor, Vec<Tensor>) {
        let count = parts.len() as f64;
        let loss = &loss;
        let results: Vec<(Tensor, Vec<Tensor>)> = std::thread::scope(|scope| {
            let running: Vec<_> = self
                .replicas
                .iter_mut()
                .zip(parts)
                .map(|((network, variables), part)| {
                    scope.spawn(move || {
                        let loss = loss(network, part);
                        let gradients = Tensor::run_backward(&[&loss], variables, false, false);
                        (loss.detach(), gradients)
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().expect("a training step does not panic")).collect()
        });
        gradient_mode::off(|| {
            let losses: Vec<Tensor> = results.iter().map(|(loss, _)| loss.shallow_clone()).collect();
            let mut parts = results.into_iter().map(|(_, gradients)| gradients);
            let mut sum = parts.next().expect("at least one part");
            for gradients in parts {
                for (total, gradient) in sum.iter_mut().zip(&gradients) {
                    let _ = total.g_add_(gradient);
                }
            }
            for total in &mut sum {
                let _ = total.g_div_scalar_(count);
            }
            (Tensor::stack(&losses, 0).mean(Kind::Float), sum)
        })
    }
}

/// The variables of `store` by name, as they are shipped.
pub fn named(store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut tensors: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// The device that training runs on.
pub fn device() -> Device {
    device::here()
}

/// One network per core on a CPU, up to four; one on a GPU.
pub fn replicas() -> usize {
    match device() {
        Device::Cpu => {
            tch::set_num_threads(1);
            std::thread::available_parallelism().map_or(1, |cores| [1, 2, 2, 4][cores.get().min(4) - 1])
        }
        _ => 1,
    }
}
