//! How threads of libtorch wait for each other, beside other programs.
//!
//! A thread of GNU's OpenMP that waits spins for milliseconds before it sleeps. That is fast where processors are free. Where
//! another program wants them, a spinning thread keeps a processor from the one that it waits for, and steps of many short
//! waits took four to fifteen times as long. The number of spins, `GOMP_SPINCOUNT`, is read once, as libraries load. But
//! by its manual a process that has more OpenMP threads than processors spins 1,000 times and no more. So while others are at
//! work, this process has that many threads more, which sleep.

/// Watches from now on whether other programs use the processors of this process. What a user says by OpenMP's own variables
/// stays.
pub fn watch_for_others() {
    #[cfg(target_os = "linux")]
    if ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"].iter().all(|name| std::env::var_os(name).is_none()) {
        // Without the thread all goes on, and spins.
        let _ = std::thread::Builder::new().name("watch for others".to_owned()).spawn(linux::watch);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, c_int, c_uint, c_void};
    use std::fs;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, RwLock};
    use std::time::Duration;

    const PERIOD: Duration = Duration::from_millis(250);
    /// Processors that others use, on average over a period, from which they count, and below which they are gone.
    const MUCH: f64 = 0.3;
    const LITTLE: f64 = 0.1;

    /// Ticks of the clock until now.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Ticks {
        /// All processors together: those on which anything ran, and the others.
        busy: u64,
        idle: u64,
        /// What this process ran.
        own: u64,
    }

    impl Ticks {
        /// From the texts of `/proc/stat` and `/proc/self/stat`, for processors of which `is_ours` is true.
        fn read(all: &str, own: &str, is_ours: impl Fn(usize) -> bool) -> Option<Ticks> {
            // Behind the name of the program, which may hold blanks, the 12th and 13th.
            let mut fields = own.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<u64>);
            let own = fields.next()?.ok()? + fields.next()?.ok()?;
            let (mut busy, mut idle) = (0, 0);
            for line in all.lines() {
                let Some((number, ticks)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' '))
                else {
                    continue;
                };
                if !number.parse().is_ok_and(&is_ours) {
                    continue;
                }
                // user, nice, system, idle, waiting for devices, interrupts, soft interrupts, stolen by other machines
                let ticks =
                    ticks.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
                let free: u64 = ticks.iter().skip(3).take(2).sum();
                idle += free;
                busy += ticks.iter().sum::<u64>() - free;
            }
            Some(Ticks { busy, idle, own })
        }

        /// How many processors others used since `before`, and how many nobody, of `processors`.
        fn others_and_idle(self, before: Ticks, processors: f64) -> Option<(f64, f64)> {
            let busy = self.busy.saturating_sub(before.busy) as f64;
            let idle = self.idle.saturating_sub(before.idle) as f64;
            let own = self.own.saturating_sub(before.own) as f64;
            let by_processor = (busy + idle) / processors;
            (by_processor > 0.0).then(|| ((busy - own) / by_processor, idle / by_processor))
        }
    }

    pub fn watch() {
        let Some((processors, parallel)) = openmp() else { return };
        let (processors, ours) = (processors as u32, own_processors());
        let ticks = || {
            let [all, own] = ["/proc/stat", "/proc/self/stat"].map(fs::read_to_string);
            Ticks::read(&all.ok()?, &own.ok()?, |number| ours.get(number).copied().unwrap_or(false))
        };
        let Some(mut before) = ticks() else { return };
        // Its threads are there until this is dropped.
        let mut more: Option<Sender<()>> = None;
        loop {
            std::thread::sleep(PERIOD);
            let Some(now) = ticks() else { return };
            if let Some((others, idle)) = now.others_and_idle(before, processors.into()) {
                if more.is_none() && others > MUCH && idle < 1.0 {
                    more = start_threads(parallel, processors + 1);
                } else if others < LITTLE {
                    more = None;
                }
            }
            before = now;
        }
    }

    type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

    /// How many processors OpenMP counts, and its function that starts threads; `None` with a runtime of another kind.
    #[expect(unsafe_code, reason = "functions of these names have these types in every OpenMP runtime")]
    fn openmp() -> Option<(c_int, Parallel)> {
        type Processors = unsafe extern "C" fn() -> c_int;

        let find = |name: &CStr| {
            let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            (!symbol.is_null()).then_some(symbol)
        };
        let (processors, parallel) = (find(c"omp_get_num_procs")?, find(c"GOMP_parallel")?);
        unsafe {
            let processors = std::mem::transmute::<*mut c_void, Processors>(processors);
            Some((processors(), std::mem::transmute::<*mut c_void, Parallel>(parallel)))
        }
    }

    /// Which processors this process may use, by their numbers.
    #[expect(unsafe_code, reason = "a set of processors is plain numbers, which the system fills in")]
    fn own_processors() -> Vec<bool> {
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
            (0..libc::CPU_SETSIZE as usize).map(|number| libc::CPU_ISSET(number, &set)).collect()
        }
    }

    /// Whether the system lets this process have so many threads more: OpenMP ends a process that cannot.
    fn may_have(count: u32) -> bool {
        let all_started = Arc::new(RwLock::new(()));
        let is_starting = all_started.write();
        let wait = || {
            let all_started = all_started.clone();
            move || drop(all_started.read())
        };
        let builder = || std::thread::Builder::new().stack_size(1 << 16);
        let started: Vec<_> = (0..count).map_while(|_| builder().spawn(wait()).ok()).collect();
        drop(is_starting);
        started.len() == count as usize && started.into_iter().all(|thread| thread.join().is_ok())
    }

    /// `count` threads that do nothing until what it gives is dropped.
    fn start_threads(parallel: Parallel, count: u32) -> Option<Sender<()>> {
        extern "C" fn nothing(_: *mut c_void) {}

        if !may_have(count) {
            return None;
        }
        let (sender, until_dropped) = channel::<()>();
        let keep = move || {
            #[expect(unsafe_code, reason = "`nothing` takes any data and returns")]
            unsafe {
                parallel(nothing, std::ptr::null_mut(), count, 0);
            }
            let _ = until_dropped.recv();
        };
        std::thread::Builder::new().name("more threads".to_owned()).spawn(keep).ok()?;
        Some(sender)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_others_use_is_told_from_the_system_s_own_counts() {
            let all = |user: u64, idle: u64| {
                format!(
                    "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 {user} 1 2 {idle} 3 0 1 4 0 0\ncpu1 {user} 0 0 {idle} 0 0 0 0 0 0\n\
                     cpu2 500 0 0 0 0 0 0 0 0 0\nintr 7 8\nctxt 5\n"
                )
            };
            let own =
                |user: u64| format!("71 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 {user} 5 0 0 20 0 3 0 9");
            let is_ours = |number| number < 2;
            let before = Ticks::read(&all(100, 40), &own(30), is_ours).unwrap();
            assert_eq!(before, Ticks { busy: 208, idle: 83, own: 35 });
            // Two processors for 100 ticks each: 150 busy, of which 90 are this process's, and 50 idle.
            let now = Ticks::read(&all(175, 65), &own(120), is_ours).unwrap();
            assert_eq!(now.others_and_idle(before, 2.0), Some((0.6, 0.5)));
            assert_eq!(before.others_and_idle(before, 2.0), None, "no time has passed");
            for (all, own) in [("cpu0 1 x 2", own(1)), ("cpu0 1 2 3 4", "71 delora S".to_owned())] {
                assert_eq!(Ticks::read(all, &own, is_ours), None);
            }
        }

        #[test]
        fn this_system_says_what_is_needed_and_threads_end_when_they_are_told() {
            tch::get_num_threads(); // links libtorch, and its OpenMP, into the test
            let (processors, parallel) = openmp().expect("libtorch brings GNU's OpenMP");
            assert_eq!(own_processors().iter().filter(|is_ours| **is_ours).count(), processors as usize);
            let threads = || fs::read_dir("/proc/self/task").unwrap().count();
            let before = threads();
            let waits_for = |is_there: &dyn Fn() -> bool| {
                (0..500).any(|_| {
                    std::thread::sleep(Duration::from_millis(10));
                    is_there()
                })
            };
            assert!(may_have(20));
            let more = start_threads(parallel, 20);
            assert!(waits_for(&|| threads() >= before + 15));
            drop(more);
            assert!(waits_for(&|| threads() < before + 15));
        }
    }
}
