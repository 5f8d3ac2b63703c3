//! Machines on a network of their own: network namespaces around one that routes. They need root, `ip` (iproute2) and `nft` (nftables),
//! and are removed when they are dropped.

use crate::lab::Plan;
use crate::node::run;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// All machines are within these networks: 10.77.0.0/16 and fd77::/32.
pub(crate) struct Lan {
    prefix: String,
    machines: usize,
}

/// Why something that needs root cannot be done here.
pub(crate) fn without_root() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().split_whitespace().nth(1);
    (user != Some("0")).then(|| "it needs root".to_owned())
}

/// A test that cannot be run here says so; or fails, where all of them must run.
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(std::env::var("SYSTEM_TESTS").as_deref() != Ok("all"), "{test} cannot be run: {reason}");
    // Not by `println!`, which is kept back where a test passes.
    let _ = writeln!(std::io::stderr(), "{test} is skipped: {reason}");
}

fn succeeds(words: &[&str]) -> bool {
    let status = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Lan {
    /// Machines whose paths to the others take packets of at most so many bytes; `None` if that is not possible here, which was
    /// said.
    pub(crate) async fn new(test: &str, mtus: &[u32]) -> Option<Self> {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("pp{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let lan = Self { prefix, machines: mtus.len() };
        let missing = without_root().or_else(|| {
            let tools = [("ip", ["ip", "-V"]), ("nft", ["nft", "-v"])];
            let missing = tools.into_iter().find(|(_, words)| !succeeds(words));
            missing.map(|(tool, _)| format!("there is no `{tool}`"))
        });
        let missing = missing.or_else(|| {
            let made = succeeds(&["ip", "netns", "add", &lan.router()]);
            (!made).then(|| "no network namespace can be made".to_owned())
        });
        if let Some(missing) = missing {
            skip(test, &missing);
            return None;
        }
        lan.build(mtus).await;
        Some(lan)
    }

    async fn build(&self, mtus: &[u32]) {
        let router = self.router();
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        run(&["ip", "netns", "exec", &router, "sh", "-c", forward]).await;
        for (machine, mtu) in mtus.iter().enumerate() {
            let (name, door) = (self.machine(machine), format!("m{machine}"));
            run(&["ip", "netns", "add", &name]).await;
            let pair = ["type", "veth", "peer", "name", "eth0", "netns", &name];
            run(&[&["ip", "link", "add", &door, "netns", &router], &pair[..]].concat()).await;
            for (at, device, last) in [(&router, door.as_str(), 1), (&name, "eth0", 2)] {
                run(&["ip", "-n", at, "link", "set", device, "mtu", &mtu.to_string(), "up"]).await;
                let four = format!("10.77.{machine}.{last}/24");
                run(&["ip", "-n", at, "addr", "add", &four, "dev", device]).await;
                let six = format!("fd77:0:0:{machine}::{last}/64");
                run(&["ip", "-n", at, "addr", "add", &six, "dev", device, "nodad"]).await;
            }
            run(&["ip", "-n", &name, "link", "set", "lo", "up"]).await;
            run(&["ip", "-n", &name, "route", "add", "default", "via", &format!("10.77.{machine}.1")]).await;
            run(&["ip", "-n", &name, "-6", "route", "add", "default", "via", &format!("fd77:0:0:{machine}::1")]).await;
            self.filter(&name, "add table inet cut; add chain inet cut in { type filter hook input priority 0 ; }")
                .await;
        }
    }

    fn router(&self) -> String {
        format!("{}-r", self.prefix)
    }

    fn machine(&self, number: usize) -> String {
        format!("{}-{number}", self.prefix)
    }

    async fn filter(&self, at: &str, rules: &str) {
        run(&["ip", "netns", "exec", at, "nft", rules]).await;
    }

    /// The node on that machine, by IPv4.
    pub(crate) fn put(&self, mut plan: Plan, machine: usize) -> Plan {
        plan.before = ["ip", "netns", "exec", &self.machine(machine)].map(str::to_owned).into();
        plan.listen = SocketAddr::new(four(machine).into(), plan.listen.port());
        plan
    }

    /// The same by IPv6.
    pub(crate) fn put_six(&self, plan: Plan, machine: usize) -> Plan {
        let mut plan = self.put(plan, machine);
        plan.listen.set_ip(IpAddr::V6(six(machine)));
        plan
    }

    /// Which ways between the two machines are open from now on, and all others are.
    pub(crate) async fn open(&self, a: usize, b: usize, a_to_b: bool, b_to_a: bool) {
        let ways = [((a, b), a_to_b), ((b, a), b_to_a)].into_iter().filter(|(_, open)| !open);
        self.close_only(&ways.map(|(way, _)| way).collect::<Vec<_>>()).await;
    }

    /// All ways are open from now on but these, each from a machine to another. What does not come through vanishes where it would
    /// arrive.
    pub(crate) async fn close_only(&self, ways: &[(usize, usize)]) {
        for to in 0..self.machines {
            let mut rules = "flush chain inet cut in".to_owned();
            for (from, _) in ways.iter().filter(|way| way.1 == to) {
                let (four, six) = (four(*from), six(*from));
                rules +=
                    &format!("; add rule inet cut in ip saddr {four} drop; add rule inet cut in ip6 saddr {six} drop");
            }
            self.filter(&self.machine(to), &rules).await;
        }
    }

    /// The router tells nobody that a packet was too large: it vanishes.
    pub(crate) async fn say_nothing_of_large_packets(&self) {
        let rules = "add table inet silent; add chain inet silent out { type filter hook output priority 0 ; }; \
                     add rule inet silent out icmp type destination-unreachable drop; \
                     add rule inet silent out icmpv6 type packet-too-big drop";
        self.filter(&self.router(), rules).await;
    }
}

fn four(machine: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, u8::try_from(machine).unwrap(), 2)
}

fn six(machine: usize) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, u16::try_from(machine).unwrap(), 0, 0, 0, 2)
}

impl Drop for Lan {
    fn drop(&mut self) {
        // Those that were not made cannot be removed.
        for name in (0..self.machines).map(|machine| self.machine(machine)).chain([self.router()]) {
            succeeds(&["ip", "netns", "del", &name]);
        }
    }
}
