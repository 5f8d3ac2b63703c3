//! A PingPong node as a library and a program.
