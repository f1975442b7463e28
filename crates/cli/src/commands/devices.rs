//! The argument that says what is computed on.

use anyhow::bail;
use device::{Cuda, Machine};
use tch::Device;

/// The scale at which models and data are the paper's.
const PAPER: &str = "paper";

#[derive(clap::Args)]
pub struct DevicesArgs {
    /// Devices to compute on, a worker for each: cuda:0,cuda:1, or cuda for all of them; cpu, or cpu:2 for two workers there
    ///
    /// Without it all CUDA devices, and the CPU where there is none.
    #[arg(long, value_name = "LIST")]
    devices: Option<String>,
}

impl DevicesArgs {
    /// Sets the devices of this process.
    pub fn choose(&self, scale: &str, cuda: &Cuda) -> anyhow::Result<()> {
        self.decide(scale, cuda.lack(), Machine::here()).map(|found| found.map_or((), device::choose))
    }

    /// None leaves it to the machine. `scale` paper on a CPU has to be asked for: it would take months.
    fn decide(
        &self,
        scale: &str,
        lack: Option<(String, &str)>,
        machine: Machine,
    ) -> anyhow::Result<Option<Vec<Device>>> {
        match (&self.devices, lack) {
            (Some(list), _) => Ok(Some(device::parse(list, machine)?)),
            (None, Some((problem, remedy))) if scale == PAPER => bail!(
                "scale {PAPER} is for a GPU, and there is none to use: {problem}; {remedy}. To run it on the CPU all the \
                 same, write `--devices cpu`"
            ),
            (None, _) => Ok(None),
        }
    }

    /// The same argument as it is written.
    pub fn written(&self) -> Vec<std::ffi::OsString> {
        self.devices.iter().flat_map(|list| ["--devices".into(), list.into()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_scale_does_not_go_to_the_cpu_by_itself() {
        let lack = || Some(("no driver".to_owned(), "install it"));
        let machine = Machine { cuda_devices: 0, threads: 2 };
        let decide = |list: Option<&str>, scale| {
            DevicesArgs { devices: list.map(str::to_owned) }.decide(scale, lack(), machine)
        };
        let message = decide(None, PAPER).unwrap_err().to_string();
        assert!(
            message.contains("no driver; install it") && message.ends_with("write `--devices cpu`"),
            "{message}"
        );
        assert_eq!(decide(None, "mini").unwrap(), None);
        assert_eq!(decide(Some("cpu"), PAPER).unwrap(), Some(vec![Device::Cpu; 2]));
        assert!(decide(Some("cuda:0"), "mini").unwrap_err().to_string().contains("there is no cuda:0"));
        let lucky = DevicesArgs { devices: None }.decide(PAPER, None, machine);
        assert_eq!(lucky.unwrap(), None);
    }
}
