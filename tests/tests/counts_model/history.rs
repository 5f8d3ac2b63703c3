//! The history of what was asked and answered, as the monitor sees it; and as stateright's own tester does, where they are compared.

use crate::counts::PRODUCERS;
use crate::monitor::{Monitor, Question};
use crate::shared::Shared;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) struct History {
    pub(crate) monitor: Shared<Monitor>,
    tester: Option<Box<Tester>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tester {
    tester: LinearizabilityTester<Client, Values>,
    /// Crashes of each producer.
    crashes: [u8; PRODUCERS],
}

/// A ping that a crash left behind runs for ever: after a crash its producer is another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Client {
    Producer(usize, u8),
    Reader(usize),
}

/// The counters that everybody is to believe in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Values([u8; PRODUCERS]);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Ping(usize),
    Read(Question),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Return {
    Ping,
    Read([u8; PRODUCERS]),
}

impl SequentialSpec for Values {
    type Op = Operation;
    type Ret = Return;

    fn invoke(&mut self, operation: &Operation) -> Return {
        match operation {
            Operation::Ping(producer) => {
                self.0[*producer] += 1;
                Return::Ping
            }
            Operation::Read(question) => Return::Read(question.answer(self.0)),
        }
    }
}

impl Tester {
    fn producer(&self, producer: usize) -> Client {
        Client::Producer(producer, self.crashes[producer])
    }

    fn starts(&mut self, client: Client, operation: Operation) {
        self.tester.on_invoke(client, operation).expect("one operation of a client at a time");
    }

    fn ends(&mut self, client: Client, result: Return) {
        self.tester.on_return(client, result).expect("the end of what began");
    }
}

impl History {
    pub(crate) fn new(weights: [u8; PRODUCERS], compared: bool) -> Self {
        let tester = LinearizabilityTester::new(Values([0; PRODUCERS]));
        let tester = compared.then(|| Box::new(Tester { tester, crashes: [0; PRODUCERS] }));
        Self { monitor: Shared::new(Monitor::new(weights)), tester }
    }

    pub(crate) fn start_ping(&mut self, producer: usize) {
        self.monitor.edit().start_ping(producer);
        if let Some(tester) = &mut self.tester {
            tester.starts(tester.producer(producer), Operation::Ping(producer));
        }
    }

    pub(crate) fn end_ping(&mut self, producer: usize) {
        self.monitor.edit().end_ping(producer);
        if let Some(tester) = &mut self.tester {
            tester.ends(tester.producer(producer), Return::Ping);
        }
    }

    pub(crate) fn orphan(&mut self, producer: usize) {
        self.monitor.edit().orphan(producer);
        if let Some(tester) = &mut self.tester {
            tester.crashes[producer] += 1;
        }
    }

    pub(crate) fn start_read(&mut self, reader: usize, question: Question) {
        self.monitor.edit().start_read(reader);
        if let Some(tester) = &mut self.tester {
            tester.starts(Client::Reader(reader), Operation::Read(question));
        }
    }

    pub(crate) fn end_read(&mut self, reader: usize, question: Question, answer: [u8; PRODUCERS]) {
        self.monitor.edit().end_read(reader, question, answer);
        if let Some(tester) = &mut self.tester {
            tester.ends(Client::Reader(reader), Return::Read(answer));
        }
    }

    /// Whether the two judges agree; one alone does.
    pub(crate) fn is_agreed(&self) -> bool {
        let agrees = |tester: &Tester| tester.tester.is_consistent() == self.monitor.is_linearizable();
        self.tester.as_deref().is_none_or(agrees)
    }
}
