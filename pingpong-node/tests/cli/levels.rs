//! What answers about counts are worth: what people and programs are shown of it, and what each level refuses, with the remedy.

use crate::cluster::{Cluster, Ended, Running, run, soon};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

/// Nobody waits so long: whoever answers before has not waited for it.
const NEVER: [&str; 2] = ["--deadline", "1h"];
const LEVELS: [&str; 4] = ["local", "fresh", "majority", "snapshot"];

/// It says so to people alone.
fn fails(ended: Ended, code: i32, words: &[&str]) {
    for words in words {
        assert!(ended.errors().contains(words), "{words:?} is missing: {ended:?}");
    }
    assert_eq!((ended.code(), ended.output()), (Some(code), String::new()), "{ended:?}");
}

/// The words of a table's row, and of what stands below the table.
fn rows(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

async fn read(cluster: &Cluster, level: &str) -> Value {
    let mut read = cluster.ask("n1", &["counts", "--read", level]).await;
    assert!(read["took_ms"].is_u64() && read["level"] == level, "{read}");
    read.as_object_mut().unwrap().remove("took_ms");
    read
}

async fn shown(cluster: &Cluster, level: &str) -> Vec<String> {
    rows(&cluster.asked("n1", &["counts", "--read", level]).await.ok().output())
}

/// They are gone, and n1 knows.
async fn gone(cluster: &Cluster, nodes: impl IntoIterator<Item = Running>, links: u64) {
    for node in nodes {
        node.signal("-KILL").await;
        node.ended().await;
    }
    cluster.until("n1", "status", |status| status["links"] == links).await;
}

#[tokio::test]
async fn a_read_says_from_whom_it_is_who_is_missing_as_of_when_and_whether_it_is_exact() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    let [_one, _two, three] = cluster.members("").await;
    let pinged = cluster.ask("n1", &["ping", "5", "--ack", "majority"]).await;
    assert_eq!((&pinged["pinged"]["pings"], &pinged["pinged"]["slot"]["count"]), (&5.into(), &5.into()));
    cluster.asked("n3", &["ping", "2", "--ack", "local"]).await.ok();
    cluster.until("n1", "counts --read snapshot", |read| read["total"] == 7).await;

    let values = |worth: [&str; 3]| {
        let value = |(node, pings, worth): (&str, u64, &str)| match worth {
            "at_least" => json!({ "node": node, "pings": pings, "worth": worth, "heard_ms": 0 }),
            _ => json!({ "node": node, "pings": pings, "worth": worth }),
        };
        [("n1", 5, worth[0]), ("n2", 0, worth[1]), ("n3", 2, worth[2])].map(value)
    };
    let all = |level: &str, worth: &str, from: &[&str]| {
        json!({
            "level": level, "values": values([worth; 3]), "total": 7, "worth": worth, "from": from, "missing": [], "recovering": false,
        })
    };
    assert_eq!(read(&cluster, "local").await, all("local", "at_least", &["n1"]));
    assert_eq!(read(&cluster, "fresh").await, all("fresh", "exact", &["n1", "n2", "n3"]));
    for (level, worth) in [("majority", "agreed"), ("snapshot", "one_instant")] {
        let read = read(&cluster, level).await;
        let from: Vec<&str> = read["from"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(from.len() >= 2 && from.is_sorted(), "{read}");
        assert_eq!(read, all(level, worth, &from));
    }
    let local = shown(&cluster, "local").await;
    let rest =
        ["from this node alone: n1", "what this node has heard; of a producer that is linked it may still be behind"];
    let table =
        ["producer pings heard of", "n1 5 at least now", "n2 0 at least now", "n3 2 at least now", "total 7 at least"];
    assert_eq!(local, [&table[..], &rest].concat());
    let fresh = shown(&cluster, "fresh").await;
    let rest = ["total 7 exact", "from all who answered: n1, n2, n3"];
    assert_eq!(fresh[..6], [&["producer pings", "n1 5 exact", "n2 0 exact", "n3 2 exact"], &rest[..]].concat());
    assert!(fresh[6].starts_with("as of an instant within the read, which took "), "{fresh:?}");

    gone(&cluster, [three], 1).await;
    let both = ["n1", "n2"];
    for (level, worth) in [("majority", "agreed"), ("snapshot", "one_instant")] {
        let mut expected = all(level, worth, &both);
        expected["missing"] = json!(["n3"]);
        assert_eq!(read(&cluster, level).await, expected);
    }
    let majority = shown(&cluster, "majority").await;
    let rest = ["total 7 a majority agrees", "from members that hold it: n1, n2", "members that cannot be reached: n3"];
    assert_eq!(majority[4..7], rest, "{majority:?}");
    assert!(majority[7].starts_with("each number, and the total, as of an instant of its own within"), "{majority:?}");
    let snapshot = shown(&cluster, "snapshot").await;
    assert!(snapshot[7].starts_with("all as of one instant within the read, which took "), "{snapshot:?}");
    assert!(snapshot[1].ends_with("at one instant"), "{snapshot:?}");

    // The value of whoever is away is as old as the last word from it.
    let mut fresh = read(&cluster, "fresh").await;
    assert!(fresh["values"][2].as_object_mut().unwrap().remove("heard_ms").unwrap().as_u64() > Some(0), "{fresh}");
    let mut expected = all("fresh", "exact", &both);
    (expected["worth"], expected["missing"]) = (json!("at_least"), json!(["n3"]));
    expected["values"][2]["worth"] = json!("at_least");
    assert_eq!(fresh, expected);
    let fresh = shown(&cluster, "fresh").await;
    assert_eq!((&*fresh[1], &*fresh[4]), ("n1 5 exact now", "total 7 at least"), "{fresh:?}");
    assert!(fresh[3].starts_with("n3 2 at least ") && fresh[3].ends_with(" ago"), "{fresh:?}");
    assert_eq!(fresh[5..7], ["from all who answered: n1, n2", "did not answer: n3"], "{fresh:?}");
    assert!(fresh[7].contains("what is at least so much may be behind"), "{fresh:?}");
}

#[tokio::test]
async fn the_smaller_side_refuses_at_once_counts_nothing_and_says_what_still_works() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    let [_one, two, three] = cluster.members("").await;
    gone(&cluster, [two, three], 0).await;
    let ping = cluster.asked("n1", &[&["ping", "3", "--ack", "majority"], &NEVER[..]].concat()).await;
    let words = ["0 of 3 pings are counted", "1 of the 2 members that a majority needs can be reached"];
    fails(ping, 1, &[&words[..], &["nothing was counted; ping at another level, or wait for them"]].concat());
    for level in &LEVELS[2..] {
        for json in [&[][..], &["--json"]] {
            let read = cluster.asked("n1", &[&["counts", "--read", level], &NEVER[..], json].concat()).await;
            fails(read, 1, &["1 of the 2 members", "missing: n2, n3; read at level `fresh` or `local`, or wait"]);
        }
    }
    // A ping that waits for nobody is counted, and reads of what is here answer.
    cluster.asked("n1", &["ping", "3"]).await.ok();
    for level in &LEVELS[..2] {
        let read = read(&cluster, level).await;
        assert_eq!((&read["total"], &read["worth"], &read["from"]), (&3.into(), &json!("at_least"), &json!(["n1"])));
    }
}

#[tokio::test]
async fn pings_that_no_majority_confirms_have_a_code_of_their_own_and_are_confirmed_later() {
    let cluster = Cluster::new(&["n1", "n2", "n3"]).await;
    // Nobody is given up while it is stopped.
    let [_one, two, three] = cluster.members("[timeouts]\nfailure = \"60s\"\nstall = \"60s\"").await;
    // Before its first ping a node asks the others what they have seen of its store.
    cluster.asked("n1", &["ping", "2"]).await.ok();
    for node in [&two, &three] {
        node.signal("-STOP").await;
    }
    let ping = |json: &'static [&str]| [&["ping", "2", "--ack", "majority", "--deadline", "200ms"], json].concat();
    let program = cluster.asked("n1", &ping(&["--json"])).await;
    let said = program.json();
    let slot = said["unconfirmed"]["slot"].clone();
    assert_eq!(said, json!({ "unconfirmed": { "pings": 2, "slot": slot, "have": 1, "need": 2 } }));
    assert_eq!((program.code(), &slot["node"], &slot["count"]), (Some(3), &json!("n1"), &json!(4)));
    let of = format!("n1@{}", slot["epoch"].as_str().unwrap());
    let person = cluster.asked("n1", &ping(&[])).await;
    let remedy = format!("do not ping again: pingpong-node confirm {of} 6");
    fails(person, 3, &["counted, 6 of n1@", "1 of the 2 members that it needs have said that they have it", &remedy]);
    let early = cluster.asked("n1", &["confirm", &of, "6", "--deadline", "200ms", "--json"]).await;
    assert_eq!((early.code(), &early.json()["unconfirmed"]["pings"]), (Some(3), &json!(0)), "{early:?}");
    // Members that are linked and silent.
    let late = cluster.asked("n1", &["counts", "--read", "majority", "--deadline", "200ms"]).await;
    fails(late, 1, &["the deadline passed; 1 of the 2 members that a majority needs had answered"]);
    for node in [&two, &three] {
        node.signal("-CONT").await;
    }
    let confirmed = cluster.asked("n1", &["confirm", &of, "6", "--deadline", "1m"]).await.ok();
    assert_eq!(confirmed.output(), format!("a majority has 6 of {of}\n"));
    let again = cluster.ask("n1", &["confirm", &of, "2"]).await;
    assert_eq!(
        again,
        json!({ "node": "n1", "epoch": slot["epoch"], "count": 2 }),
        "it counts nothing, and may be asked again"
    );
    assert_eq!(read(&cluster, "majority").await["total"], 6);
    let unknown = cluster.asked("n1", &["confirm", &of, "99"]).await;
    fails(unknown, 1, &["is at 6 here, and not at 99: there is nothing to confirm; ask the node that pinged"]);
    fails(cluster.asked("n1", &["confirm", "n1", "6"]).await, 2, &["it is NODE@EPOCH, as `ping` says it"]);
}

#[tokio::test]
async fn queued_pings_have_no_number_and_no_majority_without_members() {
    let cluster = Cluster::new(&["n1"]).await;
    cluster.configure("n1", "", "");
    let _one = cluster.start("n1").await;
    let text = cluster.asked("n1", &["ping", "3", "--ack", "queued"]).await.ok().output();
    assert_eq!(text, "3 pings wait to be counted\n");
    let said = cluster.ask("n1", &["ping", "3", "--ack", "queued"]).await;
    assert_eq!(said, json!({ "pinged": { "pings": 3, "done": true } }));
    cluster.until("n1", "counts --read local", |read| read["total"] == 6).await;
    let ping = cluster.asked("n1", &["ping", "--ack", "majority"]).await;
    fails(ping, 1, &["no members are configured", "name them on every node, or ping at another level"]);
    let read = cluster.asked("n1", &["counts", "--read", "majority"]).await;
    fails(read, 1, &["no members are configured", "name them on every node, or read at level `fresh`"]);
    fails(cluster.asked("n1", &["ping", "--ack", "all"]).await, 2, &["possible values: queued, local, majority"]);
    fails(cluster.asked("n1", &["counts", "--read", "all"]).await, 2, &["possible values: local, fresh, majority"]);
}

/// A node that answers to one request by this line.
async fn answers(node: UnixListener, line: Value) {
    let (mut stream, _) = node.accept().await.unwrap();
    let mut request = String::new();
    BufReader::new(&mut stream).read_line(&mut request).await.unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
}

/// As it is where the store fails in the middle of it.
#[tokio::test]
async fn pings_that_may_be_counted_have_the_code_for_that() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, code) in [("unknown", 3), ("refused", 1), ("busy", 1)] {
        let node = UnixListener::bind(dir.path().join(kind)).unwrap();
        let line = json!({ "failed": { "kind": kind, "words": "0 of 1 pings are counted, then: it broke" } });
        let asks = ["ping", "--socket", kind];
        let (ended, ()) = soon("an end", async { tokio::join!(run(dir.path(), &asks), answers(node, line)) }).await;
        fails(ended, code, &["it broke"]);
    }
}

#[tokio::test]
async fn help_says_when_to_use_a_level_and_what_it_costs() {
    let dir = tempfile::tempdir().unwrap();
    let help = async |words: &[&str]| {
        let help = run(dir.path(), &[words, &["--help"]].concat()).await.ok().output();
        help.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // Each level has its own use, and its own price.
    for (command, levels) in [("ping", &["queued", "local", "majority"][..]), ("counts", &LEVELS)] {
        let help = help(&[command]).await;
        let mut rest = &help[help.find("Possible values:").unwrap()..];
        for (at, level) in levels.iter().enumerate() {
            rest = &rest[rest.find(&format!("- {level}: ")).unwrap()..];
            let end = levels.get(at + 1).map_or(rest.len(), |next| rest.find(&format!("- {next}: ")).unwrap());
            let words = &rest[..end];
            let price = words.find("Costs ").unwrap_or_else(|| panic!("{command} {level} costs nothing: {words}"));
            assert!(words.contains(". For "), "{command} {level} is of no use: {words}");
            assert!(words[price..].contains("sync") || words[price..].contains("round trip"), "{words}");
        }
    }
    for (command, use_and_price) in [
        ("confirm", &["may be asked again and again, and counts nothing", "How long to wait"][..]),
        ("recover", &["cannot recover, since too many others have lost theirs", "What only they had is gone then"]),
        ("init", &["once for each member, before the cluster's first start", "it would vote without what it had said"]),
        ("run", &["after its disk was found to lie", "What only it had is gone", "A member recovers before it votes"]),
    ] {
        let help = help(&[command]).await;
        for words in use_and_price {
            assert!(help.contains(words), "{words:?} is missing: {help}");
        }
    }
}
