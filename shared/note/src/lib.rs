//! C2SP signed notes, tlog checkpoints and key ids. Pure.
