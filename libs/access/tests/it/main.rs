mod replica;
mod roles;
