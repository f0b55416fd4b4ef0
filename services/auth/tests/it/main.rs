mod bindings;
mod first_start;
mod keys;
mod people;
mod projects;
mod suite;
