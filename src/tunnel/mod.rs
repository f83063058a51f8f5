//! The tunnel: a supervisor that owns the local ports, with an OpenSSH master behind them.
