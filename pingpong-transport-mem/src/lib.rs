//! Links of PingPong inside one process, with every fault of the contract.
