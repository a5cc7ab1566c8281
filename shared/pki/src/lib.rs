//! X.509: public keys, CSRs, byte-exact certificates, poison and SCT extensions. Pure.
