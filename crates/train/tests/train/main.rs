//! What the library and the binary do, seen from outside.

mod ast;
mod bad_configuration;
mod bench;
mod command;
mod command_line;
mod configs;
mod embed;
mod explain;
mod folders;
mod graphs;
mod hostile_models;
mod init;
mod kill;
mod memory;
mod new_head;
mod precision;
mod resume;
mod speech;
mod tiny_run;
mod tokenizer;
mod using_models;
